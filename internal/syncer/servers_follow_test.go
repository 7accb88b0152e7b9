package syncer_test

import (
	"mailroom/internal/mailroom"
	"mailroom/internal/pretend/imapd"
)

func (s *stage) delivered(m mailroom.Mapping) int {
	return s.count("deliveries WHERE otys_folder_id = $1", m.OTYSFolderID)
}

// followStories are of mail that goes and of folders that come, go and change names.
func followStories() []story {
	return []story{
		{"removed_there_is_removed_here_where_the_mapping_says_so", nil, func(s *stage) {
			s.world.Exec(s.t, "UPDATE mappings SET removal = 'remove' WHERE id = $1", s.world.Inbox.ID)
			inbox := s.fill("INBOX", 0, 20)
			sent := s.fill("Sent Items", 100, 20)
			again, _ := s.account.Stored("INBOX", inbox[3])
			s.run()
			s.stored(s.world.Inbox, 20)
			s.stored(s.world.Sent, 20)
			s.must(s.account.Expunge("INBOX", inbox[3], inbox[4]))
			s.must(s.account.Expunge("Sent Items", sent[3], sent[4]))
			s.until("it is taken over", func() bool { return s.delivered(s.world.Inbox) == 18 })
			s.stored(s.world.Sent, 18)
			if n := s.delivered(s.world.Sent); n != 20 {
				s.t.Errorf("%d of 20 mails are kept where the mapping says keep", n)
			}
			// The same mail, put back by another program, is not imported again.
			s.account.Deliver("INBOX", again)
			s.stored(s.world.Inbox, 19)
			if n := s.delivered(s.world.Inbox); n != 18 {
				s.t.Errorf("%d mails: one that was removed came back", n)
			}
		}},
		{"a_mail_that_moves_between_mapped_folders_moves_here", nil, func(s *stage) {
			s.world.Exec(s.t, "UPDATE mappings SET removal = 'remove'")
			inbox := s.fill("INBOX", 0, 20)
			s.run()
			s.stored(s.world.Inbox, 20)
			_, err := s.account.Move("INBOX", "Sent Items", inbox[3], inbox[4])
			s.must(err)
			s.until("it has moved", func() bool { return s.delivered(s.world.Inbox) == 18 && s.delivered(s.world.Sent) == 2 })
			s.stored(s.world.Sent, 2)
			s.until("nothing is on its way", func() bool { return s.count("leaving") == 0 })
			if n := s.count("messages"); n != 20 {
				s.t.Errorf("%d messages of 20", n)
			}
		}},
		{"a_new_subfolder_is_picked_up", nil, func(s *stage) {
			s.account.AddFolder("Clients", imapd.FolderOptions{})
			clients := s.world.Map(s.t, "Clients", "Clients", mailroom.RoleNone)
			s.world.Exec(s.t, "UPDATE mappings SET subfolders = TRUE WHERE id = $1", clients.ID)
			s.fill("Clients", 0, 3)
			s.run()
			s.stored(clients, 3)
			s.account.AddFolder("Clients/New", imapd.FolderOptions{})
			s.fill("Clients/New", 100, 4)
			s.account.AddFolder("Clientele", imapd.FolderOptions{}) // not below it
			s.fill("Clientele", 200, 2)
			s.until("the subfolder is read", func() bool {
				return s.count(`progress WHERE stored = 4 AND backlog = '' AND mapping_id IN (SELECT id FROM mappings WHERE parent_id = $1 AND raw_name = 'Clients/New')`, clients.ID) == 1
			})
			if n := s.delivered(clients); n != 7 {
				s.t.Errorf("%d mails in the OTYS folder", n)
			}
			s.neverOpened("Clientele")
		}},
		{"a_renamed_folder_is_followed", nil, renamed},
		{"a_renamed_folder_is_followed_by_its_id", func() imapd.Dialect {
			d := imapd.Gmail()
			d.CapsAfter += " OBJECTID"
			d.ObjectID = true
			return d
		}, renamed},
	}
}

// renamed: the mapping goes where its folder has gone, nothing is read twice, and
// the page can tell whence.
func renamed(s *stage) {
	s.account.AddFolder("Clients", imapd.FolderOptions{})
	clients := s.world.Map(s.t, "Clients", "Clients", mailroom.RoleNone)
	s.fill("Clients", 0, 15)
	s.run()
	s.stored(clients, 15)
	s.must(s.account.RenameFolder("Clients", "Customers"))
	s.until("the mapping has gone along", func() bool {
		return s.count("mappings WHERE id = $1 AND raw_name = 'Customers' AND followed_from = 'Clients'", clients.ID) == 1
	})
	s.fill("Customers", 100, 1)
	s.stored(clients, 16)
	if m, p := s.count("messages"), s.count("placements WHERE mapping_id = $1", clients.ID); m != 16 || p != 16 {
		s.t.Errorf("%d messages, %d placements of 16 mails", m, p)
	}
}
