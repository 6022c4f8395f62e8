package lua

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"hash"
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
	kind, sum := hashOf(name)
	if sum == nil {
		return verdict(l, name+" is not supported.")
	}
	if !verified(k.key, kind, sum, signature, text) {
		return verdict(l, "Failed to verify digital signature. Error code: 0")
	}
	return verdict(l, "")
}

// hashOf returns a hash by its name, nil when there is none of it.
func hashOf(name string) (crypto.Hash, hash.Hash) {
	switch strings.ToLower(name) {
	case "sha1":
		return crypto.SHA1, sha1.New()
	case "sha224":
		return crypto.SHA224, sha256.New224()
	case "sha256":
		return crypto.SHA256, sha256.New()
	case "sha384":
		return crypto.SHA384, sha512.New384()
	case "sha512":
		return crypto.SHA512, sha512.New()
	}
	return 0, nil
}

func verdict(l *lua.LState, wrong string) int {
	l.Push(lua.LBool(wrong == ""))
	l.Push(lua.LString(wrong))
	return 2
}

func verified(key crypto.PublicKey, kind crypto.Hash, sum hash.Hash, signature, text string) bool {
	sum.Write([]byte(text))
	digest := sum.Sum(nil)
	switch k := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, kind, digest, []byte(signature)) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest, []byte(signature))
	case ed25519.PublicKey:
		return ed25519.Verify(k, []byte(text), []byte(signature))
	}
	return false
}
