package config

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"sofamesh.io/sofamesh/mosn/transport/tls"
	"sofamesh.io/sofamesh/sdk"
)

var _ tls.Secrets = compiler{}

// secretUser is a place that has a secret.
type secretUser struct {
	renewed func(c sdk.Compiler, pb *tlsv3.Secret) (apply func(), err error)
}

// Secret implements tls.Secrets.
func (c compiler) Secret(name string, from *corev3.ConfigSource, renewed func(sdk.Compiler, *tlsv3.Secret) (func(), error)) (*tlsv3.Secret, error) {
	if from == nil {
		e := c.store.entries[Key{SecretType, name}]
		if e == nil || e.Current() == nil {
			return nil, c.Errorf("unknown static secret: %s", name)
		}
		return e.Current().Proto().(*tlsv3.Secret), nil
	}
	scope := c.store.o.Stats.Root().Scope("sds").Scope(name)
	sub, err := c.at("sds_config").subscribe(from, Want{SecretType, name}, scope, updatePlain)
	if err != nil {
		return nil, err
	}
	user := &secretUser{renewed}
	if sub.secrets == nil {
		sub.secrets = map[*secretUser]struct{}{}
	}
	sub.secrets[user] = struct{}{}
	c.uses[len(c.uses)-1].secret = user
	pb, _ := sub.value().(*tlsv3.Secret)
	return pb, nil
}

// prepareSecret asks all who have a secret whether they can do with another one, and
// returns what hands it to them.
func (sub *subscription) prepareSecret(c compiler, pb *tlsv3.Secret) (apply func(), err error) {
	var all []func()
	for user := range sub.secrets {
		apply, err := user.renewed(c, pb)
		if err != nil {
			return nil, err
		}
		all = append(all, apply)
	}
	return func() {
		for _, apply := range all {
			apply()
		}
	}, nil
}

// withFiles adds the content of the files that a secret is made of to its hash, and
// returns what is to be watched: the files, or the directories that it names for them.
func withFiles(hash [sha256.Size]byte, res *Resource) (with [sha256.Size]byte, watch []place) {
	m, err := res.message()
	pb, ok := m.(*tlsv3.Secret)
	if err != nil || !ok {
		return hash, nil
	}
	sum := sha256.New()
	sum.Write(hash[:])
	add := func(dir *corev3.WatchedDirectory, sources ...*corev3.DataSource) {
		for _, source := range sources {
			name := source.GetFilename()
			if name == "" {
				continue
			}
			data, err := os.ReadFile(name)
			fmt.Fprintf(sum, "%s %d %v ", name, len(data), err != nil) // what is wrong with it compiling tells
			sum.Write(data)
			if dir == nil {
				watch = append(watch, place{path: name})
			} else if at := (place{dir.GetPath() + "/", dir.GetWatchModify()}); !slices.Contains(watch, at) {
				watch = append(watch, at)
			}
		}
	}
	c, v := pb.GetTlsCertificate(), pb.GetValidationContext()
	add(c.GetWatchedDirectory(), c.GetCertificateChain(), c.GetPrivateKey())
	add(v.GetWatchedDirectory(), v.GetTrustedCa(), v.GetCrl())
	return [sha256.Size]byte(sum.Sum(nil)), watch
}

// watch has the secret delivered again when one of these files changes, and no others.
func (sub *subscription) watch(files []place) {
	for at, remove := range sub.watches {
		if !slices.Contains(files, at) {
			remove()
			delete(sub.watches, at)
		}
	}
	source, ok := sub.source.(*watched)
	for _, at := range files {
		if _, known := sub.watches[at]; known || !ok {
			continue
		}
		remove, err := source.set.also(source, at)
		if err != nil {
			sub.store.log.Warn(fmt.Sprintf("%s: %s is not watched: %v", label(sub.entry.Key), at.path, err))
			continue
		}
		if sub.watches == nil {
			sub.watches = map[place]func(){}
		}
		sub.watches[at] = remove
	}
}
