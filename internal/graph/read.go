package graph

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"mailroom/internal/mailroom"
)

var guidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// guid refuses what is no GUID before it gets into a filter.
func guid(id string) error {
	if !guidForm.MatchString(id) {
		return mailroom.E(mailroom.NeedsVendor, "doctor.error.request", errors.New("an id that is no GUID")).
			With("code", "400").With("ref", "–")
	}
	return nil
}

// quoted is a string literal of OData (ABNF: a quote is doubled).
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Application is an application by its client id. NotFound: the tenant has never
// consented to it. GET /servicePrincipals(appId='…')
func (d *Directory) Application(ctx context.Context, appID string) (mailroom.DirectoryApp, error) {
	if err := guid(appID); err != nil {
		return mailroom.DirectoryApp{}, err
	}
	var a struct {
		ID                 string `json:"id"`
		AppID              string `json:"appId"`
		Name               string `json:"displayName"`
		Enabled            *bool  `json:"accountEnabled"`
		AssignmentRequired bool   `json:"appRoleAssignmentRequired"`
		Disabled           string `json:"disabledByMicrosoftStatus"`
	}
	err := d.read(ctx, "/servicePrincipals(appId="+url.PathEscape(quoted(appID))+")",
		url.Values{"$select": {"id,appId,displayName,accountEnabled,appRoleAssignmentRequired,disabledByMicrosoftStatus"}}, &a)
	if err != nil {
		return mailroom.DirectoryApp{}, err
	}
	if a.Disabled == "NotDisabled" {
		a.Disabled = ""
	}
	return mailroom.DirectoryApp{ID: a.ID, AppID: a.AppID, Name: a.Name, Enabled: a.Enabled == nil || *a.Enabled,
		AssignmentRequired: a.AssignmentRequired, Disabled: a.Disabled}, nil
}

type user struct {
	ID        string   `json:"id"`
	Name      string   `json:"displayName"`
	SignIn    string   `json:"userPrincipalName"`
	Mail      string   `json:"mail"`
	Enabled   *bool    `json:"accountEnabled"`
	Addresses []string `json:"proxyAddresses"`
}

const userFields = "id,displayName,userPrincipalName,mail,accountEnabled,proxyAddresses"

func (u user) words() mailroom.DirectoryUser {
	out := mailroom.DirectoryUser{ID: u.ID, Name: u.Name, SignIn: u.SignIn, Enabled: u.Enabled}
	add := func(a string) {
		if a = mailroom.NormalAddress(a); a != "" && !slices.Contains(out.Addresses, a) {
			out.Addresses = append(out.Addresses, a)
		}
	}
	add(u.Mail)
	for _, a := range u.Addresses {
		// "SMTP:" is the main address, "smtp:" the others; X500 and SIP are no mail.
		if len(a) > 5 && strings.EqualFold(a[:5], "smtp:") {
			add(a[5:])
		}
	}
	return out
}

// has reports whether the address is the user's sign-in name or mailbox.
func (u user) has(address string) bool {
	w := u.words()
	return mailroom.NormalAddress(w.SignIn) == address || slices.Contains(w.Addresses, address)
}

// User is a person by sign-in name or by an address of their mailbox: the two
// are often not the same. NotFound when the tenant has none. GET /users/…
func (d *Directory) User(ctx context.Context, address string) (mailroom.DirectoryUser, error) {
	address = mailroom.NormalAddress(address)
	var one user
	err := d.read(ctx, "/users/"+url.PathEscape(address), url.Values{"$select": {userFields}}, &one)
	if err == nil && one.has(address) {
		return one.words(), nil
	}
	// 400 is what a name that Graph does not take for one is answered with.
	if k := mailroom.KindOf(err); err != nil && k != mailroom.NotFound && k != mailroom.NeedsVendor {
		return mailroom.DirectoryUser{}, err
	}
	for _, filter := range []string{
		"mail eq " + quoted(address),
		"proxyAddresses/any(a:a eq " + quoted("smtp:"+address) + ")",
	} {
		found, err := list[user](ctx, d, "/users", url.Values{"$select": {userFields}, "$filter": {filter}})
		if err != nil {
			return mailroom.DirectoryUser{}, err
		}
		for _, u := range found {
			if u.has(address) {
				return u.words(), nil
			}
		}
	}
	return mailroom.DirectoryUser{}, mailroom.E(mailroom.NotFound, "doctor.error.not_there").With("code", "404").With("ref", "–")
}

// Me is whoever the token is of. GET /me
func (d *Directory) Me(ctx context.Context) (mailroom.DirectoryUser, error) {
	var one user
	err := d.read(ctx, "/me", url.Values{"$select": {"id,displayName,userPrincipalName,mail,proxyAddresses"}}, &one)
	return one.words(), err
}

type assignment struct {
	PrincipalID   string `json:"principalId"`
	PrincipalType string `json:"principalType"`
	PrincipalName string `json:"principalDisplayName"`
	ResourceID    string `json:"resourceId"`
}

func assignments(as []assignment, err error) ([]mailroom.DirectoryAssignment, error) {
	var out []mailroom.DirectoryAssignment
	for _, a := range as {
		out = append(out, mailroom.DirectoryAssignment{PrincipalID: a.PrincipalID, PrincipalName: a.PrincipalName,
			Group: strings.EqualFold(a.PrincipalType, "Group"), AppID: a.ResourceID})
	}
	return out, err
}

// Assignments of an application to a person, themselves or through a group that
// they are in directly. GET /users/{id}/appRoleAssignments
func (d *Directory) Assignments(ctx context.Context, userID, appObjectID string) ([]mailroom.DirectoryAssignment, error) {
	if err := errors.Join(guid(userID), guid(appObjectID)); err != nil {
		return nil, err
	}
	found, err := assignments(list[assignment](ctx, d, "/users/"+userID+"/appRoleAssignments",
		url.Values{"$filter": {"resourceId eq " + appObjectID}}))
	// Whatever the filter did: only this application's count.
	return slices.DeleteFunc(found, func(a mailroom.DirectoryAssignment) bool { return !strings.EqualFold(a.AppID, appObjectID) }), err
}

// Assigned is everybody, person or group, to whom an application is assigned.
// GET /servicePrincipals/{id}/appRoleAssignedTo
func (d *Directory) Assigned(ctx context.Context, appObjectID string) ([]mailroom.DirectoryAssignment, error) {
	if err := guid(appObjectID); err != nil {
		return nil, err
	}
	return assignments(list[assignment](ctx, d, "/servicePrincipals/"+appObjectID+"/appRoleAssignedTo", nil))
}

// Groups that a person is in, directly or through others.
// GET /users/{id}/memberOf and …/transitiveMemberOf
func (d *Directory) Groups(ctx context.Context, userID string) ([]mailroom.DirectoryGroup, error) {
	if err := guid(userID); err != nil {
		return nil, err
	}
	type group struct {
		Type string `json:"@odata.type"`
		ID   string `json:"id"`
		Name string `json:"displayName"`
	}
	fields := url.Values{"$select": {"id,displayName"}}
	direct, err := list[group](ctx, d, "/users/"+userID+"/memberOf", fields)
	if err != nil {
		return nil, err
	}
	all, err := list[group](ctx, d, "/users/"+userID+"/transitiveMemberOf", fields)
	if err != nil {
		return nil, err
	}
	var out []mailroom.DirectoryGroup
	for _, g := range slices.Concat(direct, all) {
		same := func(o group) bool { return o.ID == g.ID }
		known := slices.ContainsFunc(out, func(o mailroom.DirectoryGroup) bool { return o.ID == g.ID })
		// Roles and administrative units stand in the same list.
		if !known && (g.Type == "" || g.Type == "#microsoft.graph.group") {
			out = append(out, mailroom.DirectoryGroup{ID: g.ID, Name: g.Name, Nested: !slices.ContainsFunc(direct, same)})
		}
	}
	return out, nil
}

// Consents to an application, everybody's and single people's.
// GET /oauth2PermissionGrants
func (d *Directory) Consents(ctx context.Context, appObjectID string) ([]mailroom.DirectoryConsent, error) {
	if err := guid(appObjectID); err != nil {
		return nil, err
	}
	type grant struct {
		ClientID    string `json:"clientId"`
		ConsentType string `json:"consentType"`
		PrincipalID string `json:"principalId"`
		ResourceID  string `json:"resourceId"`
		Scope       string `json:"scope"`
	}
	found, err := list[grant](ctx, d, "/oauth2PermissionGrants", url.Values{"$filter": {"clientId eq " + quoted(appObjectID)}})
	var out []mailroom.DirectoryConsent
	for _, g := range found {
		if !strings.EqualFold(g.ClientID, appObjectID) {
			continue
		}
		out = append(out, mailroom.DirectoryConsent{ResourceID: g.ResourceID, Everybody: strings.EqualFold(g.ConsentType, "AllPrincipals"),
			PrincipalID: g.PrincipalID, Scopes: strings.Fields(g.Scope)}) // may begin with a space
	}
	return out, err
}

// ConsentPolicies are the names of the policies by which ordinary people may
// consent for themselves, as they came: their prefix varies in case.
// GET /policies/authorizationPolicy
func (d *Directory) ConsentPolicies(ctx context.Context) ([]string, error) {
	type policy struct {
		Role struct {
			Policies []string `json:"permissionGrantPoliciesAssigned"`
		} `json:"defaultUserRolePermissions"`
	}
	var raw json.RawMessage
	if err := d.read(ctx, "/policies/authorizationPolicy", nil, &raw); err != nil {
		return nil, err
	}
	// One object, or, as the beta version has it, a list of one.
	var both struct {
		policy
		Value []policy `json:"value"`
	}
	if err := json.Unmarshal(raw, &both); err != nil {
		return nil, malformed(errors.New("no policy of the expected form"))
	}
	if len(both.Value) > 0 {
		return both.Value[0].Role.Policies, nil
	}
	return both.Role.Policies, nil
}

// ConsentRequests tells whether people may ask their administrator from the
// sign-in page. GET /policies/adminConsentRequestPolicy
func (d *Directory) ConsentRequests(ctx context.Context) (mailroom.DirectoryRequests, error) {
	var a struct {
		Enabled   bool              `json:"isEnabled"`
		Reviewers []json.RawMessage `json:"reviewers"`
	}
	err := d.read(ctx, "/policies/adminConsentRequestPolicy", nil, &a)
	return mailroom.DirectoryRequests{Enabled: a.Enabled, Reviewers: len(a.Reviewers)}, err
}

// Plans are the services in a person's licences; "" is whoever the token is of.
// GET /users/{id}/licenseDetails, /me/licenseDetails
func (d *Directory) Plans(ctx context.Context, userID string) ([]mailroom.DirectoryPlan, error) {
	path := "/me/licenseDetails"
	if userID != "" {
		if err := guid(userID); err != nil {
			return nil, err
		}
		path = "/users/" + userID + "/licenseDetails"
	}
	type licence struct {
		Name  string `json:"skuPartNumber"`
		Plans []struct {
			ID        string `json:"servicePlanId"`
			Name      string `json:"servicePlanName"`
			Status    string `json:"provisioningStatus"`
			AppliesTo string `json:"appliesTo"`
		} `json:"servicePlans"`
	}
	found, err := list[licence](ctx, d, path, nil)
	var out []mailroom.DirectoryPlan
	for _, l := range found {
		for _, p := range l.Plans {
			out = append(out, mailroom.DirectoryPlan{ID: strings.ToLower(p.ID), Name: p.Name, Status: p.Status, Licence: l.Name,
				Company: strings.EqualFold(p.AppliesTo, "Company")})
		}
	}
	return out, err
}
