package holmes

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/sdk"
)

// Extension returns the extension.
func Extension() sdk.BootstrapExtension {
	return sdk.BootstrapExtension{
		Name: Name, Config: &structpb.Struct{},
		Compile: func(c sdk.Compiler, m proto.Message) (sdk.Service, error) {
			cfg, err := Compile(c, m.(*structpb.Struct))
			return &service{cfg: cfg}, err
		},
	}
}

// service is a watcher that begins with the process.
type service struct {
	cfg *Config
	w   *Watcher
}

// Start implements sdk.Service.
func (s *service) Start(log *slog.Logger) (err error) {
	s.w, err = Start(s.cfg, log)
	return err
}

// Close implements sdk.Service.
func (s *service) Close() { s.w.Close() }

// AdminPath implements sdk.AdminService.
func (s *service) AdminPath() (path, help string) {
	return "/holmes", "profiles of bursts: list, fetch (?profile=NAME), switch (POST ?cpu=off)"
}

// Admin lists what is watched and kept; with ?profile=NAME it sends one, and a POST with
// ?cpu=on or off, or another kind, begins or ends to watch it.
func (s *service) Admin(out io.Writer, query map[string][]string, post bool) error {
	for name, values := range query {
		value := strings.Join(values, ",")
		switch {
		case name == "profile":
			f, err := s.w.Open(value)
			if err != nil {
				return fmt.Errorf("there is no profile %q", value)
			}
			defer f.Close()
			_, err = io.Copy(out, f)
			return err
		case !post:
			return errors.New("to switch something takes a POST")
		case value != "on" && value != "off":
			return fmt.Errorf("%s=%s: want on or off", name, value)
		}
		if err := s.w.Set(name, value == "on"); err != nil {
			return err
		}
	}
	return s.w.Write(out)
}
