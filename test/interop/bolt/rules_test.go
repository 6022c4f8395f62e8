package bolt

import "testing"

func (w *world) testRules(t *testing.T) {}
