package app

import (
	"context"

	"mailroom/internal/doctor"
	"mailroom/internal/graph"
	"mailroom/internal/mailroom"
)

// newDoctor gives the doctor a directory to read and a mailbox to try.
func newDoctor(boxes *mailboxes, directories *graph.Client) *doctor.Doctor {
	return &doctor.Doctor{
		Open:  func(p mailroom.Provider, token string) doctor.Directory { return directories.Directory(p, token) },
		Probe: func(ctx context.Context, m mailroom.Mailbox) []mailroom.Check { return boxes.probe(ctx, m, nil) },
	}
}
