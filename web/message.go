package web

import (
	"io"

	"mailroom/internal/mailroom"
	"mailroom/templates"
)

const (
	// framePolicy rules a mail's HTML in its frame: a document of its own origin,
	// without script, form or request, but for the images that it carries inside.
	framePolicy = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; " +
		"form-action 'none'; base-uri 'none'; frame-ancestors 'self'; img-src data:"
	// framePolicyImages is framePolicy once the reader has asked for images.
	framePolicyImages = framePolicy + " https: http:"
)

// showMail is the page of one message. Looking at it marks it read.
func showMail(c *call) error {
	ctx, id := c.r.Context(), c.param("id")
	page, err := c.Portal.Mail(ctx, c.user, id)
	if err != nil {
		return err
	}
	if page.Unread && !page.Shared && !c.isFragment() {
		// A disk that is full keeps nobody from reading.
		if err := c.Portal.MarkRead(ctx, c.user, id, true); err != nil && mailroom.KindOf(err) != mailroom.Unavailable {
			return err
		}
	}
	v := templates.MessageView{
		MailPage: page, Plain: c.query("view") == "text", Images: c.query("images") != "",
		From: ownPath(c.query("from"), ""), Search: c.query("person"),
	}
	if v.Search != "" {
		if v.Found, err = c.Portal.SearchPeople(ctx, c.user, v.Search, 8); err != nil {
			return err
		}
	}
	p := c.page("mail", "message.title")
	if page.Message.Subject != "" {
		p.Title = page.Message.Subject
	}
	return c.show(templates.Message(p, v))
}

// showMailHTML is the inside of the message's frame. Its policy holds even when
// somebody opens it outside of the frame.
func showMailHTML(c *call) error {
	images := c.query("images") != ""
	doc, err := c.Portal.MailHTML(c.r.Context(), c.user, c.param("id"), images)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", framePolicy)
	if images {
		h.Set("Content-Security-Policy", framePolicyImages)
	}
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = c.w.Write(doc)
	return nil
}

// showRawMail is the mail as it came: to read as text, or to save.
func showRawMail(c *call) error {
	d, err := c.Portal.RawMail(c.r.Context(), c.user, c.param("id"))
	if err != nil {
		return err
	}
	if c.query("download") != "" {
		return c.download(d)
	}
	defer d.Body.Close()
	h := c.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Security-Policy", downloadPolicy)
	_, _ = io.Copy(c.w, d.Body)
	return nil
}

func showAttachment(c *call) error {
	d, err := c.Portal.Attachment(c.r.Context(), c.user, c.param("id"), c.param("part"))
	if err != nil {
		return err
	}
	return c.download(d)
}

// markRead goes back to the list: staying would read the mail again.
func markRead(c *call) error {
	f, err := c.form("read", "back")
	if err != nil {
		return err
	}
	read := f.Value("read") != "no"
	if err := c.Portal.MarkRead(c.r.Context(), c.user, c.param("id"), read); err != nil {
		return err
	}
	if !read {
		c.flash("done", "message.marked_unread")
	}
	return c.redirect(ownPath(f.Value("back"), "/mail"))
}

func linkMail(c *call) error {
	f, err := c.form("person", "back")
	if err != nil {
		return err
	}
	if err := c.Portal.Link(c.r.Context(), c.user, c.param("id"), f.Value("person")); err != nil {
		return err
	}
	c.flash("done", "message.linked")
	return c.redirect(ownPath(f.Value("back"), "/mail/"+c.param("id")))
}

func unlinkMail(c *call) error {
	f, err := c.form("person", "back")
	if err != nil {
		return err
	}
	ctx, id := c.r.Context(), c.param("id")
	name, err := c.linkedName(id, f.Value("person"))
	if err != nil {
		return err
	}
	if err := c.Portal.Unlink(ctx, c.user, id, f.Value("person")); err != nil {
		return err
	}
	c.flash("done", "message.unlinked", "name", name)
	return c.redirect(ownPath(f.Value("back"), "/mail/"+id))
}

// linkedName is the name of a person linked to a message.
func (c *call) linkedName(id, personID string) (string, error) {
	page, err := c.Portal.Mail(c.r.Context(), c.user, id)
	if err != nil {
		return "", err
	}
	for _, chip := range page.People {
		if chip.ID == personID {
			return chip.Name, nil
		}
	}
	return "", mailroom.E(mailroom.NotFound, "error.not_found")
}
