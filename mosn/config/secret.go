package config

import (
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
