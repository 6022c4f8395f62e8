package lua

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha1" // the hashes that scripts may name
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// publicKey is a script's handle of a key; nil when it could not be read.
type publicKey struct {
	*run
	key crypto.PublicKey
	der string
}

var keyMethods = map[string]lua.LGFunction{
	"get": method(func(l *lua.LState, k *publicKey) int {
		if k.key == nil {
			l.Push(lua.LNil)
		} else {
			l.Push(lua.LString(k.der))
		}
		return 1
	}),
}

// luaImportPublicKey reads a key in DER: importPublicKey(bytes, length).
func luaImportPublicKey(l *lua.LState, r *run) int {
	der := cut(l, 2)
	key, err := x509.ParsePKIXPublicKey([]byte(der))
	if err != nil {
		key = nil
	}
	l.Push(r.m.types.key.of(l, &publicKey{r, key, der}))
	return 1
}

// cut reads a string and, behind it, how much of it counts.
func cut(l *lua.LState, at int) string {
	s, n := l.CheckString(at), number(l, at+1)
	if n < 0 || n > len(s) {
		l.ArgError(at+1, "the length is not that of the bytes")
	}
	return s[:n]
}

// luaVerifySignature checks a signature: verifySignature(hash, key, signature, its
// length, text, its length). It returns whether it is right, and what is wrong.
func luaVerifySignature(l *lua.LState, _ *run) int {
	name := l.CheckString(2)
	k, ok := l.CheckUserData(3).Value.(*publicKey)
	if !ok || k.key == nil {
		return verdict(l, "Failed to initialize digest verify. Error code: 0")
	}
	signature, text := cut(l, 4), cut(l, 6)
	hash, ok := map[string]crypto.Hash{
		"sha1": crypto.SHA1, "sha224": crypto.SHA224, "sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512,
	}[strings.ToLower(name)]
	if !ok {
		return verdict(l, name+" is not supported.")
	}
	if !verified(k.key, hash, signature, text) {
		return verdict(l, "Failed to verify digital signature. Error code: 0")
	}
	return verdict(l, "")
}

func verdict(l *lua.LState, wrong string) int {
	l.Push(lua.LBool(wrong == ""))
	l.Push(lua.LString(wrong))
	return 2
}

func verified(key crypto.PublicKey, hash crypto.Hash, signature, text string) bool {
	h := hash.New()
	h.Write([]byte(text))
	digest := h.Sum(nil)
	switch k := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, hash, digest, []byte(signature)) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest, []byte(signature))
	case ed25519.PublicKey:
		return ed25519.Verify(k, []byte(text), []byte(signature))
	}
	return false
}
