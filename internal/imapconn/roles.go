package imapconn

import (
	"strings"

	"mailroom/internal/imapwire"
	"mailroom/internal/mailroom"
)

// attributes of RFC 6154, and \Inbox as some servers add it.
var attributes = []struct {
	attr string
	role mailroom.FolderRole
}{
	{`\Inbox`, mailroom.RoleInbox}, {`\Sent`, mailroom.RoleSent}, {`\Drafts`, mailroom.RoleDrafts}, {`\Trash`, mailroom.RoleTrash},
	{`\Junk`, mailroom.RoleJunk}, {`\Archive`, mailroom.RoleArchive}, {`\All`, mailroom.RoleAll}, {`\Flagged`, mailroom.RoleFlagged},
}

// names that folders have in the languages of our users, lower case. Exchange
// names folders in the mailbox's language and does not always send attributes
// (docs/providers.md 3.3).
var names = map[mailroom.FolderRole][]string{
	mailroom.RoleSent: {"sent", "sent items", "sent mail", "sent messages", "verzonden items", "verzonden", "verzonden berichten", "verstuurd",
		"gesendete elemente", "gesendet", "gesendete objekte", "éléments envoyés", "envoyés", "messages envoyés", "elementos enviados", "enviados",
		"posta inviata", "inviata", "itens enviados", "skickat", "skickade objekt", "sendt post", "sendte elementer", "elementy wysłane", "wysłane"},
	mailroom.RoleDrafts: {"drafts", "draft", "concepten", "entwürfe", "brouillons", "borradores", "bozze", "rascunhos", "utkast", "kladder", "wersje robocze"},
	mailroom.RoleTrash: {"trash", "deleted items", "deleted messages", "deleted", "bin", "prullenbak", "verwijderde items", "papierkorb",
		"gelöschte elemente", "gelöscht", "corbeille", "éléments supprimés", "elementos eliminados", "papelera", "cestino", "posta eliminata",
		"itens excluídos", "borttaget", "slettet post", "slettede elementer", "kosz", "elementy usunięte"},
	mailroom.RoleJunk: {"junk", "junk email", "junk e-mail", "spam", "bulk mail", "ongewenste e-mail", "ongewenste mail", "ongewenst",
		"junk-e-mail", "courrier indésirable", "correo no deseado", "posta indesiderata", "lixo eletrônico", "skräppost", "uønsket e-mail", "wiadomości-śmieci"},
	mailroom.RoleArchive: {"archive", "archief", "archiv", "archives", "archivo", "archivio", "arquivo", "arkiv", "archiwum"},
	mailroom.RoleNonMail: {"calendar", "agenda", "kalender", "calendrier", "calendario", "contacts", "contactpersonen", "kontakte", "contactos", "contatti",
		"tasks", "taken", "aufgaben", "tâches", "tareas", "attività", "journal", "logboek", "journaal", "diario", "notes", "notities", "notizen",
		"notas", "note", "outbox", "postvak uit", "postausgang", "boîte d'envoi", "bandeja de salida", "posta in uscita", "files", "bestanden",
		"conversation history", "gespreksgeschiedenis", "sync issues", "synchronisatieproblemen", "synchronisierungsprobleme",
		"rss feeds", "rss-feeds", "birthdays", "verjaardagen", "suggested contacts", "quick step settings", "conversation action settings"},
}

// giveRoles recognises folders by attribute, then by name. A name counts only
// at the top (or right below the inbox, where some servers keep everything) and
// only for a role that no attribute has given away.
func giveRoles(folders []mailroom.Folder, entries map[string]imapwire.ListEntry) {
	taken := map[mailroom.FolderRole]bool{}
	for i := range folders {
		f := &folders[i]
		if strings.EqualFold(f.RawName, "INBOX") { // the one name that RFC 3501 §5.1 fixes
			f.Role = mailroom.RoleInbox
			taken[mailroom.RoleInbox] = true
			continue
		}
		for _, a := range attributes {
			if a.role != mailroom.RoleInbox && entries[f.RawName].HasAttr(a.attr) {
				f.Role = a.role
				taken[a.role] = true
				break
			}
		}
	}
	nonMail := map[string]bool{}
	for i := range folders {
		f := &folders[i]
		if f.Role != mailroom.RoleNone || !atTop(*f) {
			continue
		}
		role := roleByName(f.Leaf())
		if role == mailroom.RoleNone || role != mailroom.RoleNonMail && taken[role] {
			continue
		}
		f.Role = role
		if role == mailroom.RoleNonMail {
			nonMail[f.RawName] = true
		} else {
			taken[role] = true
		}
	}
	// What lies below a calendar is a calendar.
	for i := range folders {
		f := &folders[i]
		if f.Delimiter == "" || f.Role != mailroom.RoleNone {
			continue
		}
		for parent := range nonMail {
			if strings.HasPrefix(mailroom.FolderBytes(f.RawName), mailroom.FolderBytes(parent)+f.Delimiter) {
				f.Role = mailroom.RoleNonMail
			}
		}
	}
}

func atTop(f mailroom.Folder) bool {
	switch len(f.Path) {
	case 1:
		return true
	case 2:
		top := strings.ToLower(f.Path[0])
		return top == "inbox" || top == "[gmail]" || top == "[google mail]"
	}
	return false
}

func roleByName(leaf string) mailroom.FolderRole {
	leaf = strings.ToLower(strings.TrimSpace(leaf))
	for role, list := range names {
		for _, n := range list {
			if n == leaf {
				return role
			}
		}
	}
	return mailroom.RoleNone
}
