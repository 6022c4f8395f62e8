package format

import (
	"encoding/json"
	"fmt"
)

// alternative is an operator of COALESCE: its name alone, or an object.
type alternative struct {
	Command   string  `json:"command"`
	Param     string  `json:"param"`
	MaxLength *uint32 `json:"max_length"`
}

// parseCoalesce reads {"operators": [...]}: the first that gives something counts.
func (p *part) parseCoalesce(args string) error {
	var list struct {
		Operators []json.RawMessage `json:"operators"`
	}
	if err := json.Unmarshal([]byte(args), &list); err != nil {
		return err
	}
	if len(list.Operators) == 0 {
		return fmt.Errorf("there are no operators")
	}
	for i, text := range list.Operators {
		var a alternative
		if json.Unmarshal(text, &a.Command) != nil {
			if err := json.Unmarshal(text, &a); err != nil {
				return fmt.Errorf("operators[%d]: %w", i, err)
			}
		}
		t := token{name: a.Command, args: a.Param}
		if a.MaxLength != nil {
			if *a.MaxLength == 0 {
				return fmt.Errorf("operators[%d]: max_length must be above 0", i)
			}
			t.limit = int(*a.MaxLength) + 1
		}
		one, err := t.compile(nil)
		if err != nil {
			return fmt.Errorf("operators[%d]: %w", i, err)
		}
		if one.op == opCoalesce {
			return fmt.Errorf("operators[%d]: COALESCE cannot stand in COALESCE", i)
		}
		p.among = append(p.among, one)
	}
	return nil
}

// appendFirst appends the first value that is not empty.
func (p *part) appendFirst(dst []byte, ctx *Context) ([]byte, kind) {
	start := len(dst)
	for i := range p.among {
		var kind kind
		if dst, kind = p.among[i].append(dst[:start], ctx); kind == missing || len(dst) == start {
			continue
		}
		if p.limit > 0 && kind == text && len(dst)-start >= p.limit {
			dst = dst[:start+p.limit-1]
		}
		return dst, kind
	}
	return dst[:start], missing
}
