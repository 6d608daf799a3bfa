package labelrepo

import (
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Signer signs commits with a private SSH key, as returned by
// ssh.ParsePrivateKey.
type Signer = ssh.Signer

// sign returns an armored SSH signature in the namespace "git", as defined in
// OpenSSH's PROTOCOL.sshsig.
func sign(signer Signer, content []byte) (string, error) {
	const magic, namespace, hash = "SSHSIG", "git", "sha512"
	digest := sha512.Sum512(content)
	toSign := slices.Concat([]byte(magic), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Digest                    []byte
	}{namespace, "", hash, digest[:]}))

	signature, err := signSHA512(signer, toSign)
	if err != nil {
		return "", err
	}
	blob := slices.Concat([]byte(magic), ssh.Marshal(struct {
		Version                   uint32
		PublicKey                 []byte
		Namespace, Reserved, Hash string
		Signature                 []byte
	}{1, signer.PublicKey().Marshal(), namespace, "", hash, ssh.Marshal(signature)}))

	var armored strings.Builder
	armored.WriteString("-----BEGIN SSH SIGNATURE-----\n")
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(blob)), 70) {
		armored.Write(line)
		armored.WriteByte('\n')
	}
	armored.WriteString("-----END SSH SIGNATURE-----\n")
	return armored.String(), nil
}

// signSHA512 signs content. For RSA keys it selects SHA-512: the default is
// SHA-1, which the format forbids.
func signSHA512(signer Signer, content []byte) (*ssh.Signature, error) {
	if s, ok := signer.(ssh.AlgorithmSigner); ok && signer.PublicKey().Type() == ssh.KeyAlgoRSA {
		return s.SignWithAlgorithm(rand.Reader, content, ssh.KeyAlgoRSASHA512)
	}
	return signer.Sign(rand.Reader, content)
}
