package peers

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

// Dovecot 2.3's syntax (doc.dovecot.org/2.3). Everything that the installed
// configuration would say is said here, since -c replaces it whole.
var dovecotConf = template.Must(template.New("dovecot.conf").Parse(`
base_dir = {{.Dir}}/run
state_dir = {{.Dir}}/state
log_path = /dev/stderr
protocols = imap
listen = {{.Host}}
default_internal_user = {{.User}}
default_internal_group = {{.Group}}
default_login_user = {{.User}}
default_process_limit = 4000
default_client_limit = 20000
default_vsz_limit = 0
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 20000

ssl = {{if .RequireTLS}}required{{else}}yes{{end}}
ssl_cert = <{{.Dir}}/cert.pem
ssl_key = <{{.Dir}}/key.pem
disable_plaintext_auth = {{if .RequireTLS}}yes{{else}}no{{end}}

auth_mechanisms = plain login{{if .OAuth}} xoauth2 oauthbearer{{end}}
auth_failure_delay = {{.FailureDelay}}
{{if .OAuth}}
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {{.Dir}}/oauth2.conf
}
{{end}}
passdb {
  driver = passwd-file
  mechanisms = plain login
  args = scheme=PLAIN username_format=%u {{.Dir}}/users
}
passdb {
  driver = static
  mechanisms = plain login
  args = password={{.Control}}
}
userdb {
  driver = static
  args = uid={{.User}} gid={{.Group}} home={{.Dir}}/home/%u allow_all_users=yes
}

mail_location = {{.Location}}
mailbox_list_index = no
mail_fsync = never
mailbox_idle_check_interval = 2 secs
namespace inbox {
  inbox = yes
  separator = {{.Separator}}
  prefix = {{.Prefix}}
  {{range .Folders}}mailbox "{{.Name}}" {
    auto = create
    {{if .Role}}special_use = {{.Role}}{{end}}
  }
  {{end}}
}
protocol imap {
  rawlog_dir = {{.Dir}}/rawlog
  {{if .Capability}}imap_capability = {{.Capability}}{{end}}
  imap_hibernate_timeout = {{.Hibernate}}
}

service imap-login {
  chroot =
  # One process for all: a new one for each connection would cost 20 ms.
  service_count = 0
  process_min_avail = 1
  inet_listener imap {
    port = {{.Port}}
  }
  inet_listener imaps {
    port = {{.TLSPort}}
    ssl = yes
  }
}
service imap {
  service_count = 100
  unix_listener imap-master {
    user = {{.User}}
  }
}
service imap-hibernate {
  unix_listener imap-hibernate {
    mode = 0600
  }
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  chroot =
}
{{.Extra}}
`))

func (d *DovecotServer) config() ([]byte, error) {
	_, user, group, err := servant()
	if err != nil {
		return nil, err
	}
	location := d.opts.Format + ":~/mail"
	if d.opts.Format == "maildir" {
		// One directory per level, so that a folder's name may hold a dot.
		location += ":LAYOUT=fs"
	}
	var out bytes.Buffer
	err = dovecotConf.Execute(&out, struct {
		DovecotOptions
		Dir, Host, User, Group, Control, Location, Capability string
		FailureDelay, Hibernate                               string
		Port, TLSPort                                         int
	}{
		DovecotOptions: d.opts,
		Dir:            d.dir, Host: d.Host, User: user, Group: group, Control: d.control,
		Location: location, Capability: d.capability(),
		FailureDelay: fmt.Sprintf("%d ms", d.opts.FailureDelay.Milliseconds()),
		Hibernate:    fmt.Sprintf("%d s", int(d.opts.Hibernate.Seconds())),
		Port:         d.Port, TLSPort: d.TLSPort,
	})
	return out.Bytes(), err
}

// capability is the announced list, or "" for Dovecot's own.
func (d *DovecotServer) capability() string {
	if len(d.opts.Without) == 0 {
		return ""
	}
	var left []string
	for _, c := range strings.Fields(dovecotCapability) {
		if !slices.Contains(d.opts.Without, c) {
			left = append(left, c)
		}
	}
	return strings.Join(left, " ")
}

// users is the passwd-file: user:password and no more.
func (d *DovecotServer) users() []byte {
	var out bytes.Buffer
	for user, password := range d.opts.Users {
		if password != "" {
			fmt.Fprintf(&out, "%s:{PLAIN}%s\n", user, password)
		}
	}
	return out.Bytes()
}

func (d *DovecotServer) oauth2Config() []byte {
	o := d.opts.OAuth
	if o == nil {
		return nil
	}
	attribute := o.Attribute
	if attribute == "" {
		attribute = "email"
	}
	var out bytes.Buffer
	for _, setting := range [][2]string{
		{"introspection_mode", "post"},
		{"introspection_url", o.IntrospectionURL},
		{"client_id", o.ClientID},
		{"client_secret", o.ClientSecret},
		{"username_attribute", attribute},
		{"active_attribute", "active"},
		{"active_value", "true"},
		{"rawlog_dir", filepath.Join(d.dir, "none")},
	} {
		fmt.Fprintf(&out, "%s = %s\n", setting[0], setting[1])
	}
	return out.Bytes()
}
