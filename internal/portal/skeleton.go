package portal

import (
	"context"
	"io"

	"mailroom/internal/mailroom"
)

var errNotYet = mailroom.E(mailroom.Internal, "error.internal")

type ctx = context.Context
type user = mailroom.User

func (p *Portal) SetupToken(c ctx) (token string, err error) { return "", errNotYet }
func (p *Portal) Setup(c ctx, token string, f SetupForm) (mailroom.User, error) {
	return mailroom.User{}, errNotYet
}
func (p *Portal) SetupOpen(c ctx, token string) (bool, error) { return false, errNotYet }
func (p *Portal) SignIn(c ctx, email, password string) (mailroom.User, error) {
	return mailroom.User{}, errNotYet
}
func (p *Portal) UserForSession(c ctx, userID string, epoch int64) (mailroom.User, error) {
	return mailroom.User{}, errNotYet
}
func (p *Portal) SignOutEverywhere(c ctx, u user) error               { return errNotYet }
func (p *Portal) ChangePassword(c ctx, u user, old, new string) error { return errNotYet }
func (p *Portal) SetLanguage(c ctx, u user, lang string) error        { return errNotYet }
func (p *Portal) SaveProfile(c ctx, u user, name string) error        { return errNotYet }
func (p *Portal) Users(c ctx, u user) ([]mailroom.User, error)        { return nil, errNotYet }
func (p *Portal) AddUser(c ctx, u user, f UserForm) (mailroom.User, string, error) {
	return mailroom.User{}, "", errNotYet
}
func (p *Portal) ChangeRole(c ctx, u user, id string, role mailroom.Role) error { return errNotYet }
func (p *Portal) DisableUser(c ctx, u user, id string) error                    { return errNotYet }
func (p *Portal) EnableUser(c ctx, u user, id string) error                     { return errNotYet }
func (p *Portal) ResetPassword(c ctx, u user, id string) (password string, err error) {
	return "", errNotYet
}
func (p *Portal) Organization(c ctx, u user) (mailroom.Organization, error) {
	return mailroom.Organization{}, errNotYet
}
func (p *Portal) SaveOrganization(c ctx, u user, f OrganizationForm) error { return errNotYet }
func (p *Portal) Audit(c ctx, u user, limit int) ([]mailroom.AuditEvent, error) {
	return nil, errNotYet
}

func (p *Portal) Integrations(c ctx, u user) (Integrations, error) { return Integrations{}, errNotYet }
func (p *Portal) AddressChange(c ctx, u user, address string) (*AddressChange, error) {
	return nil, errNotYet
}
func (p *Portal) SaveAddress(c ctx, u user, address string, confirmed bool) error { return errNotYet }
func (p *Portal) ChooseAccount(c ctx, u user, f AccountForm) error                { return errNotYet }
func (p *Portal) SavePassword(c ctx, u user, password string) error               { return errNotYet }
func (p *Portal) ClearPassword(c ctx, u user) error                               { return errNotYet }
func (p *Portal) BeginGrant(c ctx, u user, binding string, f AccountForm) (redirectURL string, err error) {
	return "", errNotYet
}
func (p *Portal) FinishGrant(c ctx, u user, binding string, cb Callback) (mailroom.GrantOutcome, error) {
	return mailroom.GrantOutcome{}, errNotYet
}
func (p *Portal) Revoke(c ctx, u user) (mailroom.RevokeOutcome, error) {
	return mailroom.RevokeOutcome{}, errNotYet
}
func (p *Portal) MappingPage(c ctx, u user) (MappingPage, error)    { return MappingPage{}, errNotYet }
func (p *Portal) RefreshFolders(c ctx, u user) (MappingPage, error) { return MappingPage{}, errNotYet }
func (p *Portal) SaveMappings(c ctx, u user, f MappingsForm) error  { return errNotYet }
func (p *Portal) AddOTYSFolder(c ctx, u user, name string) (mailroom.OTYSFolder, error) {
	return mailroom.OTYSFolder{}, errNotYet
}
func (p *Portal) CreateIMAPFolder(c ctx, u user, name string) error   { return errNotYet }
func (p *Portal) SyncNow(c ctx, u user, mailboxID string) error       { return errNotYet }
func (p *Portal) PauseMailbox(c ctx, u user, mailboxID string) error  { return errNotYet }
func (p *Portal) ResumeMailbox(c ctx, u user, mailboxID string) error { return errNotYet }
func (p *Portal) SyncMapping(c ctx, u user, mappingID string) error   { return errNotYet }
func (p *Portal) PauseMapping(c ctx, u user, mappingID string) error  { return errNotYet }
func (p *Portal) ResumeMapping(c ctx, u user, mappingID string) error { return errNotYet }

func (p *Portal) Mails(c ctx, u user, q MailQuery) (MailList, error) { return MailList{}, errNotYet }
func (p *Portal) Mail(c ctx, u user, id string) (MailPage, error)    { return MailPage{}, errNotYet }
func (p *Portal) MarkRead(c ctx, u user, id string, read bool) error { return errNotYet }
func (p *Portal) MailHTML(c ctx, u user, id string, remoteImages bool) ([]byte, error) {
	return nil, errNotYet
}
func (p *Portal) RawMail(c ctx, u user, id string) (Download, error) { return Download{}, errNotYet }
func (p *Portal) Attachment(c ctx, u user, id, part string) (Download, error) {
	return Download{}, errNotYet
}
func (p *Portal) Link(c ctx, u user, id, personID string) error   { return errNotYet }
func (p *Portal) Relink(c ctx, u user, id, personID string) error { return errNotYet }
func (p *Portal) Unlink(c ctx, u user, id, personID string) error { return errNotYet }
func (p *Portal) Choices(c ctx, u user) ([]Choice, error)         { return nil, errNotYet }
func (p *Portal) Decide(c ctx, u user, id, address, personID string, all bool) error {
	return errNotYet
}
func (p *Portal) Quarantined(c ctx, u user) ([]QuarantineRow, error) { return nil, errNotYet }
func (p *Portal) RetryQuarantined(c ctx, u user, id string) error    { return errNotYet }
func (p *Portal) QuarantinedRaw(c ctx, u user, id string) (Download, error) {
	return Download{}, errNotYet
}

func (p *Portal) People(c ctx, u user, q PersonQuery) (PeopleList, error) {
	return PeopleList{}, errNotYet
}
func (p *Portal) Person(c ctx, u user, id, before string) (PersonPage, error) {
	return PersonPage{}, errNotYet
}
func (p *Portal) AddPerson(c ctx, u user, f PersonForm) (mailroom.Person, int64, error) {
	return mailroom.Person{}, 0, errNotYet
}
func (p *Portal) SavePerson(c ctx, u user, id string, f PersonForm) (linked int64, err error) {
	return 0, errNotYet
}
func (p *Portal) DeletePerson(c ctx, u user, id string) error { return errNotYet }
func (p *Portal) ImportPeople(c ctx, u user, r io.Reader) (ImportReport, error) {
	return ImportReport{}, errNotYet
}
func (p *Portal) SearchPeople(c ctx, u user, q string, limit int) ([]mailroom.Person, error) {
	return nil, errNotYet
}

func (p *Portal) SyncState(c ctx, u user, trouble bool) (SyncState, error) {
	return SyncState{}, errNotYet
}
func (p *Portal) Runs(c ctx, u user, mappingID string) ([]mailroom.SyncRun, error) {
	return nil, errNotYet
}

func (p *Portal) Changes(c ctx, u user) <-chan struct{} { return nil }
