package graph

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Who may read what, as the permission tables of Graph v1.0 say
// (docs/providers.md 5).
var (
	directory = []string{"Directory.Read.All"}
	apps      = []string{"Directory.Read.All", "Application.Read.All"}
	people    = []string{"Directory.Read.All", "User.Read.All", "User.ReadBasic.All"}
	policies  = []string{"Policy.Read.All"}
	licences  = []string{"Directory.Read.All", "LicenseAssignment.Read.All", "User.Read.All"}
	oneself   = []string{"User.Read", "User.Read.All", "Directory.Read.All"}
)

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	get := func(path, name string, scopes []string, serve func(*http.Request, Reader, *Tenant) answer) {
		mux.HandleFunc("GET /v1.0"+path, s.endpoint(name, scopes, serve))
	}
	get("/me", "me", oneself, func(_ *http.Request, who Reader, t *Tenant) answer {
		u := t.User(who.Email)
		if u == nil {
			return missing()
		}
		return one(u.object())
	})
	get("/me/licenseDetails", "licenseDetails", oneself, func(_ *http.Request, who Reader, t *Tenant) answer {
		return t.licences(t.User(who.Email))
	})
	get("/users", "users", people, findUsers)
	get("/users/{user}", "users", people, withUser(func(_ *http.Request, u *User, _ *Tenant) answer { return one(u.object()) }))
	get("/users/{user}/licenseDetails", "licenseDetails", licences,
		withUser(func(_ *http.Request, u *User, t *Tenant) answer { return t.licences(u) }))
	get("/users/{user}/appRoleAssignments", "appRoleAssignments", directory, withUser(assignmentsOf))
	get("/users/{user}/memberOf", "memberOf", directory,
		withUser(func(_ *http.Request, u *User, t *Tenant) answer { return groups(t.groupsOf(u.Email)) }))
	get("/users/{user}/transitiveMemberOf", "transitiveMemberOf", directory,
		withUser(func(_ *http.Request, u *User, t *Tenant) answer { return groups(t.allGroupsOf(u.Email)) }))
	get("/oauth2PermissionGrants", "oauth2PermissionGrants", directory, consents)
	get("/policies/authorizationPolicy", "authorizationPolicy", policies, func(_ *http.Request, _ Reader, t *Tenant) answer {
		return one(map[string]any{"id": "authorizationPolicy", "defaultUserRolePermissions": map[string]any{
			"allowedToCreateApps": true, "permissionGrantPoliciesAssigned": append([]string{}, t.Policies...)}})
	})
	get("/policies/adminConsentRequestPolicy", "adminConsentRequestPolicy", append(policies, directory...),
		func(_ *http.Request, _ Reader, t *Tenant) answer {
			reviewers := make([]map[string]string, t.Reviewers)
			for i := range reviewers {
				reviewers[i] = map[string]string{"query": "/users/" + guid("reviewer"), "queryType": "MicrosoftGraph"}
			}
			return one(map[string]any{"isEnabled": t.Requests, "reviewers": reviewers})
		})
	// ServeMux has no pattern for a name with brackets in one segment.
	get("/{app}", "servicePrincipals", apps, application)
	get("/servicePrincipals/{app}/appRoleAssignedTo", "appRoleAssignedTo", apps, assignedTo)
	return mux
}

// withUser finds the {user} of a path by object id or sign-in name, never by
// another address, as Graph does.
func withUser(serve func(*http.Request, *User, *Tenant) answer) func(*http.Request, Reader, *Tenant) answer {
	return func(r *http.Request, _ Reader, t *Tenant) answer {
		key := r.PathValue("user")
		for i, u := range t.Users {
			if strings.EqualFold(u.id(), key) || strings.EqualFold(u.signIn(), key) {
				return serve(r, &t.Users[i], t)
			}
		}
		return missing()
	}
}

func (u *User) object() map[string]any {
	addresses := []string{"SMTP:" + u.Email, "X500:/o=Pretended/cn=" + guid(u.Email)[:8]}
	for _, a := range u.Aliases {
		addresses = append(addresses, "smtp:"+a)
	}
	return map[string]any{"id": u.id(), "displayName": u.Name, "userPrincipalName": u.signIn(), "mail": u.Email,
		"accountEnabled": !u.Disabled, "proxyAddresses": addresses}
}

var (
	byMail  = regexp.MustCompile(`^mail eq '((?:[^']|'')*)'$`)
	byProxy = regexp.MustCompile(`^proxyAddresses/any\(a:a eq 'smtp:((?:[^']|'')*)'\)$`)
	byApp   = regexp.MustCompile(`^servicePrincipals\(appId='([0-9a-fA-F-]{36})'\)$`)
	byGUID  = regexp.MustCompile(`^(resourceId|clientId) eq '?([0-9a-fA-F-]{36})'?$`)
)

func findUsers(r *http.Request, _ Reader, t *Tenant) answer {
	filter := r.URL.Query().Get("$filter")
	rows := []any{}
	for _, u := range t.Users {
		if filter == "" {
			rows = append(rows, u.object())
		} else if m := byMail.FindStringSubmatch(filter); m != nil {
			if strings.EqualFold(strings.ReplaceAll(m[1], "''", "'"), u.Email) {
				rows = append(rows, u.object())
			}
		} else if m := byProxy.FindStringSubmatch(filter); m != nil {
			is := func(a string) bool { return strings.EqualFold(a, strings.ReplaceAll(m[1], "''", "'")) }
			if is(u.Email) || slices.ContainsFunc(u.Aliases, is) {
				rows = append(rows, u.object())
			}
		} else {
			return bad("Request_UnsupportedQuery")
		}
	}
	return many(rows)
}

// application is what stands behind an id: one that was consented to, and the
// two services of Microsoft's own that every tenant with mail has.
func application(r *http.Request, _ Reader, t *Tenant) answer {
	m := byApp.FindStringSubmatch(r.PathValue("app"))
	if m == nil {
		return missing()
	}
	if m[1] == graphService || m[1] == MailService && !t.WithoutExchange {
		name := map[string]string{graphService: "Microsoft Graph", MailService: "Office 365 Exchange Online"}[m[1]]
		return one(map[string]any{"id": serviceID(m[1]), "appId": m[1], "displayName": name, "accountEnabled": true,
			"appRoleAssignmentRequired": false, "disabledByMicrosoftStatus": nil})
	}
	a := t.App(m[1])
	if a == nil {
		return missing()
	}
	var by any
	if a.DisabledByVendor != "" {
		by = a.DisabledByVendor
	}
	return one(map[string]any{"id": serviceID(a.AppID), "appId": a.AppID, "displayName": a.Name, "accountEnabled": !a.Disabled,
		"appRoleAssignmentRequired": a.AssignmentRequired, "disabledByMicrosoftStatus": by})
}

// assignment is a row of either side; role zero is "default access".
func assignment(t *Tenant, a App, who string) map[string]any {
	id, kind, name := t.principal(who)
	return map[string]any{"id": guid(a.AppID + who), "appRoleId": "00000000-0000-0000-0000-000000000000", "principalId": id,
		"principalType": kind, "principalDisplayName": name, "resourceId": serviceID(a.AppID), "resourceDisplayName": a.Name}
}

// assignmentsOf are those of the user and of groups that the user is in directly.
func assignmentsOf(r *http.Request, u *User, t *Tenant) answer {
	only := ""
	if filter := r.URL.Query().Get("$filter"); filter != "" {
		m := byGUID.FindStringSubmatch(filter)
		if m == nil || m[1] != "resourceId" {
			return bad("Request_UnsupportedQuery")
		}
		only = m[2]
	}
	mine := append(t.groupsOf(u.Email), u.Email)
	rows := []any{}
	for _, a := range t.Apps {
		for _, who := range a.Assigned {
			is := func(m string) bool { return strings.EqualFold(m, who) }
			if slices.ContainsFunc(mine, is) && (only == "" || strings.EqualFold(only, serviceID(a.AppID))) {
				rows = append(rows, assignment(t, a, who))
			}
		}
	}
	return many(rows)
}

func assignedTo(r *http.Request, _ Reader, t *Tenant) answer {
	for _, a := range t.Apps {
		if serviceID(a.AppID) == r.PathValue("app") {
			rows := []any{}
			for _, who := range a.Assigned {
				rows = append(rows, assignment(t, a, who))
			}
			return many(rows)
		}
	}
	return missing()
}

func groups(names []string) answer {
	rows := []any{map[string]any{"@odata.type": "#microsoft.graph.administrativeUnit", "id": guid("unit"), "displayName": "Everybody"}}
	for _, n := range names {
		rows = append(rows, map[string]any{"@odata.type": "#microsoft.graph.group", "id": groupID(n), "displayName": n})
	}
	return many(rows)
}

func consents(r *http.Request, _ Reader, t *Tenant) answer {
	m := byGUID.FindStringSubmatch(r.URL.Query().Get("$filter"))
	if m == nil || m[1] != "clientId" {
		return bad("Request_UnsupportedQuery")
	}
	rows := []any{}
	for _, a := range t.Apps {
		if !strings.EqualFold(serviceID(a.AppID), m[2]) {
			continue
		}
		for _, c := range a.Consents {
			row := map[string]any{"id": guid(a.AppID + c.User + c.Service), "clientId": serviceID(a.AppID), "consentType": "AllPrincipals",
				"principalId": nil, "resourceId": serviceID(c.service()), "scope": " " + strings.Join(c.Scopes, " ")}
			if c.User != "" {
				id, _, _ := t.principal(c.User)
				row["consentType"], row["principalId"] = "Principal", id
			}
			rows = append(rows, row)
		}
	}
	return many(rows)
}

func (c Consent) service() string {
	if c.Service == "" {
		return MailService
	}
	return c.Service
}

func (t *Tenant) licences(u *User) answer {
	if u == nil {
		return missing()
	}
	rows := []any{}
	for _, l := range u.Licences {
		plans := []map[string]any{}
		for _, p := range l.Plans {
			status, to := p.Status, p.AppliesTo
			if status == "" {
				status = "Success"
			}
			if to == "" {
				to = "User"
			}
			plans = append(plans, map[string]any{"servicePlanId": p.ID, "servicePlanName": p.Name, "provisioningStatus": status, "appliesTo": to})
		}
		rows = append(rows, map[string]any{"id": guid(u.Email + l.Name), "skuId": guid(l.Name), "skuPartNumber": l.Name, "servicePlans": plans})
	}
	return many(rows)
}
