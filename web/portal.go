package web

import (
	"context"
	"io"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// Portal is what the pages ask for; *portal.Portal answers.
type Portal interface {
	accounts
	registrations
	settings
	consents
	syncing
	mails
	people
	doctor
	foresight
}

// foresight: what will break, and who is told.
type foresight interface {
	Expiry(ctx context.Context, u mailroom.User) (portal.ExpiryPage, error)
	TryNotices(ctx context.Context, u mailroom.User) ([]mailroom.Check, error)
}

// accounts: who may come in, and who is here.
type accounts interface {
	SetupOpen(ctx context.Context, token string) (bool, error)
	Setup(ctx context.Context, token string, f portal.SetupForm) (mailroom.User, error)
	SignIn(ctx context.Context, email, password string) (mailroom.User, error)
	UserForSession(ctx context.Context, userID string, epoch int64) (mailroom.User, error)
	SignOutEverywhere(ctx context.Context, u mailroom.User) error
	ChangePassword(ctx context.Context, u mailroom.User, old, new string) error
	SetLanguage(ctx context.Context, u mailroom.User, lang string) error
	SaveProfile(ctx context.Context, u mailroom.User, name string) error

	Users(ctx context.Context, u mailroom.User) ([]mailroom.User, error)
	AddUser(ctx context.Context, u mailroom.User, f portal.UserForm) (mailroom.User, string, error)
	ChangeRole(ctx context.Context, u mailroom.User, id string, role mailroom.Role) error
	DisableUser(ctx context.Context, u mailroom.User, id string) error
	EnableUser(ctx context.Context, u mailroom.User, id string) error
	ResetPassword(ctx context.Context, u mailroom.User, id string) (password string, err error)
	Organization(ctx context.Context, u mailroom.User) (mailroom.Organization, error)
	SaveOrganization(ctx context.Context, u mailroom.User, f portal.OrganizationForm) error
	Audit(ctx context.Context, u mailroom.User, limit int) ([]mailroom.AuditEvent, error)
}

// registrations: what recruiters can sign in with, and with what the organization
// proves itself there.
type registrations interface {
	Providers(ctx context.Context, u mailroom.User) ([]portal.ProviderLine, error)
	Passwords(ctx context.Context, u mailroom.User) ([]mailroom.Provider, error)
	ProviderPage(ctx context.Context, u mailroom.User, id string) (portal.ProviderPage, error)
	AddProvider(ctx context.Context, u mailroom.User, f portal.ProviderForm) (id string, err error)
	SaveProvider(ctx context.Context, u mailroom.User, id string, f portal.ProviderForm) error
	DropProvider(ctx context.Context, u mailroom.User, id string) error
	CheckProvider(ctx context.Context, u mailroom.User, id string) ([]mailroom.Check, error)
	AddCredential(ctx context.Context, u mailroom.User, providerID string, f portal.CredentialForm) (mailroom.Credential, *mailroom.Check, error)
	CredentialPage(ctx context.Context, u mailroom.User, id string) (portal.CredentialPage, error)
	ProveCredential(ctx context.Context, u mailroom.User, id string) (providerID string, check mailroom.Check, err error)
	DropCredential(ctx context.Context, u mailroom.User, id string, force bool) (providerID string, err error)
}

// settings: the four of User Settings > Integrations.
type settings interface {
	Integrations(ctx context.Context, u mailroom.User) (portal.Integrations, error)
	AddressChange(ctx context.Context, u mailroom.User, address string) (*portal.AddressChange, error)
	SaveAddress(ctx context.Context, u mailroom.User, address string, confirmed bool) error
	ChooseAccount(ctx context.Context, u mailroom.User, f portal.AccountForm) error
	SavePassword(ctx context.Context, u mailroom.User, password string) error
	ClearPassword(ctx context.Context, u mailroom.User) error
	BeginGrant(ctx context.Context, u mailroom.User, binding string, f portal.AccountForm) (redirectURL string, err error)
	FinishGrant(ctx context.Context, u mailroom.User, binding string, cb portal.Callback) (mailroom.GrantOutcome, error)
	GrantChoice(ctx context.Context, u mailroom.User, binding string) (*mailroom.GrantChoice, error)
	DecideGrant(ctx context.Context, u mailroom.User, binding, id, do string) (mailroom.GrantOutcome, error)
	Probe(ctx context.Context, u mailroom.User, again bool) (portal.Probing, error)
	Revoke(ctx context.Context, u mailroom.User) (mailroom.RevokeOutcome, error)
	MappingPage(ctx context.Context, u mailroom.User) (portal.MappingPage, error)
	Mapped(ctx context.Context, u mailroom.User) ([]mailroom.MappingRow, error)
	RefreshFolders(ctx context.Context, u mailroom.User) (portal.MappingPage, error)
	SaveMappings(ctx context.Context, u mailroom.User, f portal.MappingsForm) error
	UndoPage(ctx context.Context, u mailroom.User, mappingID string) (portal.UndoPage, error)
	TakeBack(ctx context.Context, u mailroom.User, mappingID string) error
	Preview(ctx context.Context, u mailroom.User, f portal.MappingForm) (portal.Preview, error)
	AddOTYSFolder(ctx context.Context, u mailroom.User, name string) (mailroom.OTYSFolder, error)
	CreateIMAPFolder(ctx context.Context, u mailroom.User, name string) error
}

// consents: the approval of a company's IT administrator.
type consents interface {
	Consents(ctx context.Context, u mailroom.User) (portal.ConsentPage, error)
	ConsentLink(ctx context.Context, u mailroom.User, id string) (portal.Invitation, error)
	MakeCompanyLink(ctx context.Context, u mailroom.User, providerID, tenant string) (id string, err error)
	WithdrawConsentLink(ctx context.Context, u mailroom.User, id string) error
	BeginConsent(ctx context.Context, u mailroom.User, binding, providerID, tenant string) (redirectURL string, err error)
	OwnConsent(ctx context.Context, u mailroom.User) (portal.OwnConsent, error)
	MakeConsentLink(ctx context.Context, u mailroom.User) (token string, err error)
	OpenInvitation(ctx context.Context, u mailroom.User, token string) (portal.Invitation, error)
	GoByLink(ctx context.Context, token, binding string, anyCompany bool) (redirectURL string, err error)
	FinishConsent(ctx context.Context, binding string, a mailroom.ConsentAnswer) (j mailroom.ConsentJourney, token string, err error)
}

// syncing: what a person asks of the syncer, and how it is.
type syncing interface {
	SyncNow(ctx context.Context, u mailroom.User, mailboxID string) error
	PauseMailbox(ctx context.Context, u mailroom.User, mailboxID string) error
	ResumeMailbox(ctx context.Context, u mailroom.User, mailboxID string) error
	SyncMapping(ctx context.Context, u mailroom.User, mappingID string) error
	PauseMapping(ctx context.Context, u mailroom.User, mappingID string) error
	ResumeMapping(ctx context.Context, u mailroom.User, mappingID string) error
	SeenFollowed(ctx context.Context, u mailroom.User, mappingID string) error
	SyncState(ctx context.Context, u mailroom.User, trouble bool) (portal.SyncState, error)
	Runs(ctx context.Context, u mailroom.User, mappingID string) (portal.RunsPage, error)
	TrailPage(ctx context.Context, u mailroom.User, mailboxID string) (portal.TrailPage, error)
	Trail(ctx context.Context, u mailroom.User, mailboxID string, f portal.TrailForm) (portal.TrailPage, error)
	// Changes tells that something the user's pages show has changed.
	Changes(ctx context.Context, u mailroom.User) <-chan struct{}
}

// mails: the OTYS mailbox.
type mails interface {
	Mails(ctx context.Context, u mailroom.User, q portal.MailQuery) (portal.MailList, error)
	Mail(ctx context.Context, u mailroom.User, id string) (portal.MailPage, error)
	MarkRead(ctx context.Context, u mailroom.User, id string, read bool) error
	MailHTML(ctx context.Context, u mailroom.User, id string, remoteImages bool) ([]byte, error)
	RawMail(ctx context.Context, u mailroom.User, id string) (portal.Download, error)
	Attachment(ctx context.Context, u mailroom.User, id, part string) (portal.Download, error)
	Link(ctx context.Context, u mailroom.User, id, personID string) error
	Unlink(ctx context.Context, u mailroom.User, id, personID string) error
	Choices(ctx context.Context, u mailroom.User) ([]portal.Choice, error)
	Decide(ctx context.Context, u mailroom.User, id, address, personID string, all bool) error
	Quarantined(ctx context.Context, u mailroom.User) ([]portal.QuarantineRow, error)
	RetryQuarantined(ctx context.Context, u mailroom.User, id string) error
	GiveUp(ctx context.Context, u mailroom.User, id, reason string) error
	KeepTrying(ctx context.Context, u mailroom.User, id string) error
	QuarantinedRaw(ctx context.Context, u mailroom.User, id string) (portal.Download, error)
}

// people: candidates and contact persons.
type people interface {
	People(ctx context.Context, u mailroom.User, q portal.PersonQuery) (portal.PeopleList, error)
	Person(ctx context.Context, u mailroom.User, id, before string) (portal.PersonPage, error)
	AddPerson(ctx context.Context, u mailroom.User, f portal.PersonForm) (mailroom.Person, int64, error)
	SavePerson(ctx context.Context, u mailroom.User, id string, f portal.PersonForm) (linked int64, err error)
	DeletePerson(ctx context.Context, u mailroom.User, id string) error
	ImportPeople(ctx context.Context, u mailroom.User, r io.Reader) (portal.ImportReport, error)
	SearchPeople(ctx context.Context, u mailroom.User, q string, limit int) ([]mailroom.Person, error)
}

var _ Portal = (*portal.Portal)(nil)
