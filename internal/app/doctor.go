package app

import (
	"context"
	"time"

	"mailroom/internal/doctor"
	"mailroom/internal/graph"
	"mailroom/internal/mailroom"
)

// newDoctor gives the doctor a directory to read and a mailbox to try.
func newDoctor(boxes *mailboxes, directories *graph.Client) *doctor.Doctor {
	return &doctor.Doctor{
		Open: func(p mailroom.Provider, token string) doctor.Directory { return directories.Directory(p, token) },
		Probe: func(ctx context.Context, m mailroom.Mailbox) []mailroom.Check {
			began := time.Now()
			_, err := boxes.folders(ctx, m)
			c := mailroom.Passed(doctor.IMAP, nil)
			if err != nil {
				c = mailroom.Failing(doctor.IMAP, err, time.Now().UTC())
			}
			c.Took = time.Since(began)
			return []mailroom.Check{c}
		},
	}
}
