package access

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// A certificate that is made here lives two years, like the longest secret that
// Entra makes; nobody checks who signed it, since its very bytes are registered.
const (
	certificateLife = 2 * 365 * 24 * time.Hour
	certificateBits = 3072
	leastBits       = 2048
)

// keyPair is a certificate with its private key, each in PEM form, the key as
// PKCS #8.
type keyPair struct {
	certificate, key string
	thumbprint       string // x5t#S256
	expires          time.Time
}

// makeCertificate makes a key and a certificate for it. name is what an
// administrator reads in the provider's console.
func makeCertificate(name string, now time.Time) (keyPair, error) {
	key, err := rsa.GenerateKey(rand.Reader, certificateBits)
	if err != nil {
		return keyPair{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return keyPair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife), // clocks differ
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return keyPair{}, err
	}
	return pairOf(der, template.NotAfter, key)
}

func pairOf(der []byte, expires time.Time, key crypto.PrivateKey) (keyPair, error) {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keyPair{}, err
	}
	defer clear(raw)
	sum := sha256.Sum256(der)
	return keyPair{
		certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		key:         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})),
		thumbprint:  base64.RawURLEncoding.EncodeToString(sum[:]), expires: expires.UTC(),
	}, nil
}

// readCertificate reads a certificate and its private key from one text in PEM
// form, in any order; further certificates of a chain are left out.
func readCertificate(text string, now time.Time) (keyPair, *mailroom.Error) {
	refuse := func(key string) (keyPair, *mailroom.Error) {
		return keyPair{}, mailroom.E(mailroom.Invalid, key).On("pem")
	}
	var key crypto.PrivateKey
	var chain []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch {
		case block.Type == "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return refuse("credential.error.pem")
			}
			chain = append(chain, c)
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return refuse("credential.error.pem_encrypted")
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			if key = parseKey(block.Bytes); key == nil {
				return refuse("credential.error.pem_key")
			}
		}
	}
	switch {
	case len(chain) == 0 && key == nil:
		return refuse("credential.error.pem")
	case len(chain) == 0:
		return refuse("credential.error.pem_no_certificate")
	case key == nil:
		return refuse("credential.error.pem_no_key")
	case !usable(key):
		return refuse("credential.error.pem_key")
	}
	for _, c := range chain {
		public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		if !ok || !public.Equal(key.(crypto.Signer).Public()) {
			continue
		}
		if !c.NotAfter.After(now) {
			return refuse("credential.error.pem_expired")
		}
		pair, err := pairOf(c.Raw, c.NotAfter, key)
		if err != nil {
			return refuse("credential.error.pem_key")
		}
		return pair, nil
	}
	return refuse("credential.error.pem_mismatch")
}

func parseKey(der []byte) crypto.PrivateKey {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return k
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k
	}
	return nil
}

// usable reports whether assertions can be signed with a key: RSA with PS256, or
// the P-256 curve with ES256 where a provider takes it.
func usable(key crypto.PrivateKey) bool {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return k.N.BitLen() >= leastBits
	case *ecdsa.PrivateKey:
		return k.Curve.Params().BitSize == 256
	}
	return false
}
