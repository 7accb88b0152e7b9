package store

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

// doctorReportsKept is how long a report is kept: what it says grows old, and it
// names a person.
const doctorReportsKept = 180 * 24 * time.Hour

const doctorRequestColumns = `state_hash, binding, org_id, user_id, provider_id, mailbox_id, address, self,
	verifier_key, verifier_data, nonce, created_at, expires_at`

func scanDoctorRequest(r row) (d mailroom.DoctorRequest, err error) {
	err = r.Scan(&d.StateHash, &d.Binding, &d.OrgID, &d.UserID, &d.ProviderID, &d.MailboxID, &d.Address, &d.Self,
		&d.Verifier.KeyID, &d.Verifier.Data, &d.Nonce, at(&d.CreatedAt), at(&d.ExpiresAt))
	return d, err
}

// SaveDoctorRequest keeps a look that has been begun. Requests that expired an
// hour ago or more are forgotten.
func (s *Store) SaveDoctorRequest(ctx context.Context, d mailroom.DoctorRequest) error {
	return s.tx(ctx, func(t *tx) error {
		const hour = 3600 * 1_000_000
		if _, err := t.exec(ctx, `DELETE FROM doctor_requests WHERE expires_at < $1`, t.at-hour); err != nil {
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO doctor_requests(`+doctorRequestColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)`,
			d.StateHash, d.Binding, d.OrgID, d.UserID, d.ProviderID, d.MailboxID, clean(d.Address), d.Self,
			d.Verifier.KeyID, d.Verifier.Data, d.Nonce, mailroom.Micros(d.CreatedAt), mailroom.Micros(d.ExpiresAt))
		return err
	})
}

// TakeDoctorRequest returns a begun look and deletes it in one statement: of two
// callbacks with the same state one gets it, the other NotFound.
func (s *Store) TakeDoctorRequest(ctx context.Context, stateHash string) (d mailroom.DoctorRequest, err error) {
	err = s.tx(ctx, func(t *tx) error {
		d, err = one(ctx, t, scanDoctorRequest, `DELETE FROM doctor_requests WHERE state_hash = $1 RETURNING `+doctorRequestColumns, stateHash)
		return err
	})
	return d, err
}

const doctorReportColumns = `id, org_id, provider_id, mailbox_id, address, asked_by, self, tenant_id, at, checks`

func scanDoctorReport(r row) (d mailroom.DoctorReport, err error) {
	err = r.Scan(&d.ID, &d.OrgID, &d.ProviderID, &d.MailboxID, &d.Address, &d.AskedBy, &d.Self, &d.TenantID, at(&d.At), asJSON(&d.Checks))
	return d, err
}

// SaveDoctorReport stores a report with its audit event, and forgets old ones.
func (s *Store) SaveDoctorReport(ctx context.Context, d mailroom.DoctorReport, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		if _, err := t.exec(ctx, `DELETE FROM doctor_reports WHERE org_id = $1 AND at < $2`, d.OrgID, t.at-doctorReportsKept.Microseconds()); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `INSERT INTO doctor_reports(`+doctorReportColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)`,
			d.ID, d.OrgID, d.ProviderID, d.MailboxID, clean(d.Address), d.AskedBy, d.Self, d.TenantID, mailroom.Micros(d.At), asJSON(d.Checks)); err != nil {
			return err
		}
		t.notify(TopicOrg(d.OrgID))
		return t.audit(ctx, ev)
	})
}

// DoctorReport is one report. NotFound outside of the organization.
func (s *Store) DoctorReport(ctx context.Context, orgID, id string) (mailroom.DoctorReport, error) {
	return one(ctx, s.read(), scanDoctorReport, `SELECT `+doctorReportColumns+` FROM doctor_reports WHERE org_id = $1 AND id = $2`, orgID, id)
}

// DoctorReports are an organization's, newest first, those that people made about
// themselves included.
func (s *Store) DoctorReports(ctx context.Context, orgID string, limit int) ([]mailroom.DoctorReport, error) {
	return all(ctx, s.read(), scanDoctorReport,
		`SELECT `+doctorReportColumns+` FROM doctor_reports WHERE org_id = $1 ORDER BY at DESC, id DESC LIMIT $2`, orgID, limit)
}

// SelfReport is the newest that a mailbox's owner made about themselves. NotFound
// without one.
func (s *Store) SelfReport(ctx context.Context, orgID, mailboxID string) (mailroom.DoctorReport, error) {
	return one(ctx, s.read(), scanDoctorReport, `SELECT `+doctorReportColumns+` FROM doctor_reports
		WHERE org_id = $1 AND mailbox_id = $2 AND self ORDER BY at DESC, id DESC LIMIT 1`, orgID, mailboxID)
}
