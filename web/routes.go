package web

// access says for whom a route is.
type access int

const (
	public   access = iota // anybody
	signedIn               // any user
	admin                  // administrators
)

// route is one line of the table below.
type route struct {
	method, pattern string
	access          access
	handler         func(*call) error
}

// routes is the whole of Mailroom over HTTP, but for static files and what Deps
// mounts. A test walks it: what is not public refuses strangers, every POST
// refuses other sites, and every {id} of somebody else is not found.
func routes() []route {
	const get, post = "GET", "POST"
	return []route{
		{get, "/", signedIn, showStart},
		{get, "/events", signedIn, showEvents},
		{get, "/sign-in", public, showSignIn},
		{post, "/sign-in", public, signIn},
		{post, "/sign-out", public, signOut},
		{get, "/setup", public, showSetup},
		{post, "/setup", public, saveSetup},
		{post, "/language", public, saveLanguage},

		{get, "/settings", signedIn, showSettings},
		{get, "/settings/profile", signedIn, showProfile},
		{post, "/settings/profile", signedIn, saveProfile},
		{post, "/settings/profile/password", signedIn, saveOwnPassword},
		{post, "/settings/profile/sign-out-everywhere", signedIn, signOutEverywhere},

		{get, "/settings/integrations", signedIn, showIntegrations},
		{get, "/settings/integrations/username", signedIn, confirmAddress},
		{post, "/settings/integrations/username", signedIn, saveAddress},
		{post, "/settings/integrations/password", signedIn, savePassword},
		{post, "/settings/integrations/password/clear", signedIn, clearPassword},
		{get, "/settings/integrations/oauth", signedIn, showActivation},
		{post, "/settings/integrations/oauth", signedIn, grantPermission},
		{get, "/settings/integrations/oauth/refused", signedIn, showRefusal},
		{get, "/settings/integrations/oauth/choice", signedIn, showGrantChoice},
		{post, "/settings/integrations/oauth/choice", signedIn, decideGrant},
		{post, "/settings/integrations/oauth/check", signedIn, checkMailbox},
		{get, "/settings/integrations/oauth/revoke", signedIn, confirmRevoke},
		{post, "/settings/integrations/oauth/revoke", signedIn, revokePermission},
		{get, "/oauth/callback/{provider}", public, finishGrant},
		{get, "/settings/integrations/consent", signedIn, showOwnConsent},
		{post, "/settings/integrations/consent-link", signedIn, makeOwnConsentLink},
		{get, "/settings/integrations/licence", signedIn, showLicence},
		{post, "/settings/integrations/licence", signedIn, beginSelfLook},
		{get, "/doctor/callback/{provider}", public, finishLook},
		{get, "/settings/integrations/mapping", signedIn, showMapping},
		{post, "/settings/integrations/mapping", signedIn, saveMapping},
		{post, "/settings/integrations/mapping/rows", signedIn, changeRows},
		{post, "/settings/integrations/mapping/imap-folder", signedIn, createIMAPFolder},
		{post, "/settings/integrations/sync", signedIn, syncOwnMailbox},
		{post, "/mailboxes/{id}/sync", signedIn, syncMailbox},
		{post, "/mailboxes/{id}/pause", signedIn, pauseMailbox},
		{post, "/mailboxes/{id}/resume", signedIn, resumeMailbox},
		{post, "/mappings/{id}/sync", signedIn, syncMapping},
		{post, "/mappings/{id}/pause", signedIn, pauseMapping},
		{post, "/mappings/{id}/resume", signedIn, resumeMapping},
		{post, "/mappings/{id}/followed", signedIn, seenFollowed},
		{get, "/mappings/{id}/undo", signedIn, confirmUndo},
		{post, "/mappings/{id}/undo", signedIn, undoMapping},

		{get, "/consent/{token}", public, showInvitation},
		{post, "/consent/{token}/go", public, goByLink},
		{get, "/consent/callback/{provider}", public, finishConsent},
		{get, "/consent/answer", public, showConsentAnswer},
		{get, "/admin/consent", admin, showConsents},
		{post, "/admin/consent/go", admin, goConsent},
		{post, "/admin/consent/links", admin, makeConsentLink},
		{get, "/admin/consent/links/{id}", admin, showConsentLink},
		{post, "/admin/consent/links/{id}/withdraw", admin, withdrawConsentLink},

		{get, "/admin/users", admin, showUsers},
		{get, "/admin/users/new", admin, showNewUser},
		{post, "/admin/users", admin, addUser},
		{post, "/admin/users/{id}/role", admin, changeRole},
		{get, "/admin/users/{id}/disable", admin, confirmDisable},
		{post, "/admin/users/{id}/disable", admin, disableUser},
		{post, "/admin/users/{id}/enable", admin, enableUser},
		{get, "/admin/users/{id}/password", admin, confirmReset},
		{post, "/admin/users/{id}/password", admin, resetPassword},
		{get, "/admin/organization", admin, showOrganization},
		{post, "/admin/organization", admin, saveOrganization},
		{get, "/admin/expiry", admin, showExpiry},
		{post, "/admin/expiry/test", admin, tryNotices},
		{get, "/admin/audit", admin, showAudit},
		{get, "/admin/doctor", admin, showDoctor},
		{post, "/admin/doctor", admin, examine},
		{post, "/admin/doctor/look", admin, beginLook},
		{get, "/admin/doctor/{id}", admin, showDoctorReport},
		{get, "/admin/providers", admin, showProviders},
		{post, "/admin/providers", admin, addProvider},
		{get, "/admin/providers/new", admin, showNewProvider},
		{get, "/admin/providers/{id}", admin, showProvider},
		{post, "/admin/providers/{id}", admin, saveProvider},
		{get, "/admin/providers/{id}/remove", admin, confirmDropProvider},
		{post, "/admin/providers/{id}/remove", admin, dropProvider},
		{post, "/admin/providers/{id}/check", admin, checkProvider},
		{get, "/admin/providers/{id}/credentials/new", admin, showNewCredential},
		{post, "/admin/providers/{id}/credentials", admin, addCredential},
		{get, "/admin/credentials/{id}", admin, showCredential},
		{post, "/admin/credentials/{id}/prove", admin, proveCredential},
		{get, "/admin/credentials/{id}/remove", admin, confirmDropCredential},
		{post, "/admin/credentials/{id}/remove", admin, dropCredential},
		{get, "/admin/credentials/{id}/certificate", admin, downloadCertificate},

		{get, "/help", public, showHelp},
		{get, "/help/errors", public, showCatalogue},
		{get, "/help/{page}", public, showHelpPage},

		{get, "/mail", signedIn, showMails},
		{get, "/mail/choices", signedIn, showChoices},
		{post, "/mail/choices", signedIn, decide},
		{get, "/mail/quarantine", signedIn, showQuarantine},
		{post, "/mail/quarantine/{id}/retry", signedIn, retryQuarantined},
		{get, "/mail/quarantine/{id}/raw", signedIn, downloadQuarantined},
		{get, "/mail/quarantine/{id}/give-up", signedIn, confirmGiveUp},
		{post, "/mail/quarantine/{id}/give-up", signedIn, giveUpQuarantined},
		{post, "/mail/quarantine/{id}/keep", signedIn, keepQuarantined},
		{get, "/mail/trail", signedIn, showTrail},
		{post, "/mail/trail", signedIn, askTrail},
		{get, "/mail/{id}", signedIn, showMail},
		{get, "/mail/{id}/html", signedIn, showMailHTML},
		{get, "/mail/{id}/raw", signedIn, showRawMail},
		{get, "/mail/{id}/attachment/{part}", signedIn, showAttachment},
		{post, "/mail/{id}/read", signedIn, markRead},
		{post, "/mail/{id}/link", signedIn, linkMail},
		{post, "/mail/{id}/unlink", signedIn, unlinkMail},
		{get, "/people", signedIn, showPeople},
		{post, "/people", signedIn, addPerson},
		{get, "/people/new", signedIn, showNewPerson},
		{get, "/people/import", signedIn, showImport},
		{post, "/people/import", signedIn, importPeople},
		{get, "/people/{id}", signedIn, showPerson},
		{get, "/people/{id}/edit", signedIn, showPersonForm},
		{post, "/people/{id}/edit", signedIn, savePerson},
		{get, "/people/{id}/delete", signedIn, confirmDeletePerson},
		{post, "/people/{id}/delete", signedIn, deletePerson},
		{get, "/admin/sync", admin, showSyncState},
		{get, "/admin/sync/runs/{id}", admin, showRuns},
		{get, "/admin/sync/trail/{id}", admin, showMailboxTrail},
		{post, "/admin/sync/trail/{id}", admin, askMailboxTrail},
	}
}
