package web

import (
	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/templates"
)

const usersPath = "/admin/users"

func showUsers(c *call) error {
	users, err := c.Portal.Users(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	return c.show(templates.Users(c.page("settings", "users.title"), users))
}

func showNewUser(c *call) error {
	f := templates.Form{}
	f.Set("role", string(mailroom.Recruiter))
	return c.newUser(200, f)
}

func (c *call) newUser(status int, f templates.Form) error {
	users, err := c.Portal.Users(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	return c.showStatus(status, templates.NewUser(c.page("settings", "users.new.title"), users, f))
}

// addUser answers with the new password instead of a redirect: it is shown
// once and kept nowhere.
func addUser(c *call) error {
	f, err := c.form("email", "name", "role")
	if err != nil {
		return err
	}
	u, password, err := c.Portal.AddUser(c.r.Context(), c.user, portal.UserForm{
		Email: f.Value("email"), Name: f.Value("name"), Role: mailroom.Role(f.Value("role")),
	})
	if c.complain(&f, err) {
		return c.newUser(422, f)
	}
	if err != nil {
		return err
	}
	return c.showPassword(u, password)
}

func (c *call) showPassword(u mailroom.User, password string) error {
	users, err := c.Portal.Users(c.r.Context(), c.user)
	if err != nil {
		return err
	}
	return c.show(templates.UserPassword(c.page("settings", "users.password.title"), users, u, password))
}

func changeRole(c *call) error {
	f, err := c.form("role")
	if err != nil {
		return err
	}
	return c.changeUser(c.Portal.ChangeRole(c.r.Context(), c.user, c.param("id"), mailroom.Role(f.Value("role"))), "users.role.saved")
}

func disableUser(c *call) error {
	return c.changeUser(c.Portal.DisableUser(c.r.Context(), c.user, c.param("id")), "users.disabled.done")
}

func enableUser(c *call) error {
	return c.changeUser(c.Portal.EnableUser(c.r.Context(), c.user, c.param("id")), "users.enabled.done")
}

// changeUser goes back to the list with what came of it.
func (c *call) changeUser(err error, doneKey string) error {
	if list, ok := complaints(err); ok {
		for _, e := range list {
			c.flashText("bad", templates.ErrorText(c.t, e))
		}
	} else if err != nil {
		return err
	} else {
		c.flash("done", doneKey)
	}
	return c.redirect(usersPath)
}

// userByID finds a user of the list; not found for everybody else's.
func (c *call) userByID() (users []mailroom.User, one mailroom.User, err error) {
	users, err = c.Portal.Users(c.r.Context(), c.user)
	if err != nil {
		return nil, one, err
	}
	for _, u := range users {
		if u.ID == c.param("id") {
			return users, u, nil
		}
	}
	return nil, one, mailroom.E(mailroom.NotFound, "error.not_found")
}

func confirmDisable(c *call) error {
	users, u, err := c.userByID()
	if err != nil {
		return err
	}
	return c.show(templates.ConfirmUser(c.page("settings", "users.disable.title"), users, u, "disable"))
}

func confirmReset(c *call) error {
	users, u, err := c.userByID()
	if err != nil {
		return err
	}
	return c.show(templates.ConfirmUser(c.page("settings", "users.password.title"), users, u, "password"))
}

func resetPassword(c *call) error {
	_, u, err := c.userByID()
	if err != nil {
		return err
	}
	password, err := c.Portal.ResetPassword(c.r.Context(), c.user, u.ID)
	if err != nil {
		return err
	}
	if u.ID == c.user.ID { // one's own sessions end too, but for this one
		c.user.SessionEpoch++
		if err := c.remember(c.r.Context(), c.user); err != nil {
			return err
		}
	}
	return c.showPassword(u, password)
}
