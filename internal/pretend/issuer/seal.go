package issuer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// sealed writes a value so that this provider, and one of the same seed after a restart, recognizes
// it. It hides nothing: these are pretended tokens.
func (s *Server) sealed(kind string, v any) string {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // only our own plain structs come here
	}
	text := kind + "." + base64.RawURLEncoding.EncodeToString(body)
	return text + "." + s.mac(text)
}

func (s *Server) mac(text string) string {
	m := hmac.New(sha256.New, s.seal)
	m.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// unseal reads a value of a kind, and says whether it is ours.
func (s *Server) unseal(kind, text string, v any) bool {
	i := strings.LastIndexByte(text, '.')
	if i < 0 || !hmac.Equal([]byte(s.mac(text[:i])), []byte(text[i+1:])) {
		return false
	}
	body, found := strings.CutPrefix(text[:i], kind+".")
	if !found {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(body)
	return err == nil && json.Unmarshal(raw, v) == nil
}
