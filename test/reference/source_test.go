package reference

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"sofamesh.io/sofamesh/mosn/config/yamlpb"
)

// byField are messages by the names of their fields.
type byField map[string][]protoreflect.MessageType

// goTypes are the messages by package and name in Go, fields included.
type goTypes map[string]protoreflect.MessageType

func newGoTypes() goTypes {
	g := goTypes{}
	protoregistry.GlobalTypes.RangeMessages(func(mt protoreflect.MessageType) bool {
		typ := reflect.TypeOf(mt.Zero().Interface()).Elem()
		g[typ.PkgPath()+"."+typ.Name()] = mt
		return true
	})
	return g
}

// unitTests reads the Go tests of the proxy: messages as composite literals, in the text format for sdktest.Text, and texts that can be but one
// of the known messages.
func (u uses) unitTests(t *testing.T, root string, known byField) {
	t.Helper()
	types := newGoTypes()
	for _, dir := range []string{"mosn", "sdk"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(root, filepath.Dir(path))
			switch {
			case err != nil || !strings.HasSuffix(path, "_test.go"):
				return err
			case rel == "mosn/fields", rel == "mosn/config/yamlpb", strings.Contains(path, "fuzz"): // these try no field's meaning
				return nil
			}
			return u.unitTest(path, rel, types, known)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (u uses) unitTest(path, pkg string, types goTypes, known byField) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return err
	}
	imports := map[string]string{}
	for _, i := range file.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil && i.Name != nil {
			imports[i.Name.Name] = p
		}
	}
	for _, d := range file.Decls {
		s := scan{u, use{unit, pkg + "/" + filepath.Base(path)}, imports, types, known, nil}
		if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") {
			s.by.test = pkg + " " + f.Name.Name
		}
		ast.Inspect(d, s.wants)
		ast.Inspect(d, s.node)
	}
	return nil
}

// scan looks through one function.
type scan struct {
	uses    uses
	by      use
	imports map[string]string
	types   goTypes
	known   byField
	wanted  []protoreflect.MessageType // what the function reads by sdktest.Text
}

func (s *scan) wants(n ast.Node) bool {
	if call, ok := n.(*ast.CallExpr); ok {
		if mt := s.textType(call); mt != nil && !slices.Contains(s.wanted, mt) {
			s.wanted = append(s.wanted, mt)
		}
	}
	return true
}

// textType returns the message that sdktest.Text[routev3.Route](t, "...") reads.
func (s *scan) textType(n *ast.CallExpr) protoreflect.MessageType {
	index, ok := n.Fun.(*ast.IndexExpr)
	if !ok || len(n.Args) != 2 {
		return nil
	}
	return s.message(index.Index)
}

func (s *scan) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CompositeLit:
		s.literal(n)
	case *ast.BasicLit:
		if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
			s.fragment(text)
		}
	}
	return true
}

var firstField = regexp.MustCompile(`([a-z][a-z0-9_]*)\s*[:{]`)

// fragment notes the fields of a text that can be only one message of those that the function reads, or else of all, in YAML or in the text
// format.
func (s *scan) fragment(text string) {
	first := firstField.FindStringSubmatch(text)
	if first == nil {
		return
	}
	text = variable.ReplaceAllString(text, "1")
	only := theOne(text, s.wanted)
	if only == nil {
		only = theOne(text, s.known[first[1]])
	}
	if only != nil {
		s.uses.message(only, s.by)
	}
}

// theOne returns the text as the only message among several that it can be, nil if there is none or more than one.
func theOne(text string, types []protoreflect.MessageType) (only protoreflect.Message) {
	for _, mt := range types {
		m := mt.New()
		if !isOne(text, m) {
			continue
		}
		if only != nil {
			return nil
		}
		only = m
	}
	return only
}

// isOne reports whether a text is a message, and fills it.
func isOne(text string, m protoreflect.Message) bool {
	if prototext.Unmarshal([]byte(text), m.Interface()) == nil && len(text) > 0 {
		return isSet(m)
	}
	proto.Reset(m.Interface())
	doc, err := yamlpb.ParseYAML("", []byte(text))
	return err == nil && doc.Decode(m.Interface(), yamlpb.Options{Resolve: resolve}) == nil && isSet(m)
}

func isSet(m protoreflect.Message) bool {
	set := false
	m.Range(func(protoreflect.FieldDescriptor, protoreflect.Value) bool { set = true; return false })
	return set
}

// message finds the type of an expression such as routev3.Route.
func (s *scan) message(e ast.Expr) protoreflect.MessageType {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	pkg, ok := sel.X.(*ast.Ident)
	if !ok {
		return nil
	}
	return s.types[s.imports[pkg.Name]+"."+sel.Sel.Name]
}

// literal notes the fields of routev3.Route{Name: ...}, and those of a oneof's wrapper.
func (s *scan) literal(n *ast.CompositeLit) {
	mt := s.message(n.Type)
	if mt == nil {
		s.wrapper(n)
		return
	}
	for _, e := range n.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		if key, ok := kv.Key.(*ast.Ident); ok {
			s.field(mt.Descriptor(), key.Name)
		}
	}
}

// wrapper notes the field of routev3.RouteMatch_Prefix{...}: the message, and the field's name in Go.
func (s *scan) wrapper(n *ast.CompositeLit) {
	sel, ok := n.Type.(*ast.SelectorExpr)
	if !ok {
		return
	}
	i := strings.LastIndexByte(sel.Sel.Name, '_')
	if i < 0 {
		return
	}
	owner := *sel
	owner.Sel = ast.NewIdent(sel.Sel.Name[:i])
	if mt := s.message(&owner); mt != nil {
		s.field(mt.Descriptor(), sel.Sel.Name[i+1:])
	}
}

func (s *scan) field(md protoreflect.MessageDescriptor, goName string) {
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		if strings.EqualFold(strings.ReplaceAll(string(fd.Name()), "_", ""), strings.ReplaceAll(goName, "_", "")) {
			s.uses.add(fd.FullName(), s.by)
		}
	}
}
