package aggregatetest

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
)

// What an aggregate's code calls these, in every package.
const (
	statusType  = "Status" // of its constants, and the field of its state
	statusList  = "Statuses"
	commandType = "Command" // an interface with one method that no other package has
)

// incomplete says which statuses and commands of the aggregate's code, in dir, a
// matrix has no row or column for.
func (a Aggregate[S, C]) incomplete(dir string, histories []Case[[]proto.Message], commands []Case[C]) ([]string, error) {
	code, err := read(dir)
	if err != nil {
		return nil, err
	}
	var missing []string
	if !slices.Equal(code.statuses, code.listed) {
		missing = append(missing, fmt.Sprintf("%s are %s, not %s", statusList, code.listed, code.statuses))
	}
	reached := make(map[uint64]bool)
	for _, h := range histories {
		if f := reflect.ValueOf(a.Fold(h.Is...)).FieldByName(statusType); f.IsValid() {
			reached[f.Uint()] = true
		}
	}
	for n, name := range code.statuses {
		if !reached[uint64(n)] {
			missing = append(missing, "no row has status "+name)
		}
	}
	given := make(map[string]bool)
	for _, c := range commands {
		given[reflect.TypeOf(c.Is).Name()] = true
	}
	for _, name := range code.commands {
		if !given[name] {
			missing = append(missing, "no column has command "+name)
		}
	}
	for _, twice := range slices.Concat(repeated(histories), repeated(commands)) {
		missing = append(missing, fmt.Sprintf("there are two of %q", twice))
	}
	return missing, nil
}

func repeated[T any](cases []Case[T]) (twice []string) {
	seen := make(map[string]bool)
	for _, c := range cases {
		if seen[c.Name] {
			twice = append(twice, c.Name)
		}
		seen[c.Name] = true
	}
	return twice
}

// declared is what the code of an aggregate's package has.
type declared struct {
	statuses []string // constants, in the order of their values
	listed   []string // those of them that are in the list of all
	commands []string // types
}

func read(dir string) (found declared, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return found, err
	}
	methods, asked := make(map[string][]string), "" // types by method; the one that commands have
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return found, err
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil {
					methods[d.Name.Name] = append(methods[d.Name.Name], receiver(d))
				}
			case *ast.GenDecl:
				found.statuses = append(found.statuses, statusesOf(d)...)
				found.listed = append(found.listed, listedIn(d)...)
				asked = cmp.Or(asked, commandMethod(d))
			}
		}
	}
	found.commands = slices.Sorted(slices.Values(methods[asked]))
	if len(found.commands) == 0 {
		return found, fmt.Errorf("%s has no type that is a %s", dir, commandType)
	}
	return found, nil
}

func receiver(d *ast.FuncDecl) string {
	x := d.Recv.List[0].Type
	if star, ok := x.(*ast.StarExpr); ok {
		x = star.X
	}
	name, _ := x.(*ast.Ident)
	return name.String()
}

// statusesOf returns the constants of a block that begins with one of type Status.
func statusesOf(d *ast.GenDecl) (names []string) {
	if d.Tok != token.CONST {
		return nil
	}
	for i, s := range d.Specs {
		v := s.(*ast.ValueSpec)
		if typ, ok := v.Type.(*ast.Ident); i == 0 && (!ok || typ.Name != statusType) {
			return nil
		}
		for _, name := range v.Names {
			names = append(names, name.Name)
		}
	}
	return names
}

// listedIn returns what the list of all statuses has, if it is declared here.
func listedIn(d *ast.GenDecl) (names []string) {
	for _, s := range d.Specs {
		v, ok := s.(*ast.ValueSpec)
		if !ok || v.Names[0].Name != statusList || len(v.Values) != 1 {
			continue
		}
		if list, ok := v.Values[0].(*ast.CompositeLit); ok {
			for _, x := range list.Elts {
				name, _ := x.(*ast.Ident)
				names = append(names, name.String())
			}
		}
	}
	return names
}

// commandMethod returns the name of the method that makes a type a command.
func commandMethod(d *ast.GenDecl) string {
	for _, s := range d.Specs {
		typ, ok := s.(*ast.TypeSpec)
		if !ok || typ.Name.Name != commandType {
			continue
		}
		if i, ok := typ.Type.(*ast.InterfaceType); ok && len(i.Methods.List) == 1 && len(i.Methods.List[0].Names) == 1 {
			return i.Methods.List[0].Names[0].Name
		}
	}
	return ""
}
