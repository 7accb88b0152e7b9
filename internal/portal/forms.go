package portal

import "mailroom/internal/mailroom"

// SetupForm founds the installation: the organization and its first
// administrator.
type SetupForm struct {
	Organization string
	Name, Email  string
	Password     string
}

// UserForm is a new user as typed by an administrator.
type UserForm struct {
	Email, Name string
	Role        mailroom.Role
}

// OrganizationForm is the organization's settings.
type OrganizationForm struct {
	Name              string
	ShareLinkedMail   bool
	AllowPrivateHosts bool
}
