package templates

import "mailroom/internal/portal"

// apart parts what waits from what a person has given up.
func apart(rows []portal.QuarantineRow) (waiting, given []portal.QuarantineRow) {
	for _, q := range rows {
		if q.DroppedAt.IsZero() {
			waiting = append(waiting, q)
		} else {
			given = append(given, q)
		}
	}
	return waiting, given
}

// quarantineName tells rows apart for those who do not see where a button stands.
func quarantineName(p Page, q portal.QuarantineRow) string {
	return sourceFolder(p, q.Folder) + " " + p.Number(int64(q.UID))
}

// quarantineFixer is who can mend the reason: the last part of a message key.
func quarantineFixer(q portal.QuarantineRow) string {
	switch q.Reason.Key {
	case "quarantine.reason.empty", "quarantine.reason.placeholder":
		if q.Attempts >= 3 {
			return "server"
		}
		return "nobody"
	case "quarantine.reason.breaks":
		return "server"
	case "quarantine.reason.too_large":
		return "limit"
	}
	return "upgrade"
}
