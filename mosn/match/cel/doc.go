// Package cel runs expressions of the Common Expression Language over Envoy's
// attributes ("request.path", "source.address") of a stream.
//
// A [Program] is compiled off the loops and immutable; all loops share it. Attributes
// are read when the expression comes to them: nothing is gathered before, and an
// expression that looks at a few headers allocates little or nothing.
//
// What an expression may cost is known before it runs. As in Envoy there are no
// comprehensions (all, exists, map), and text is joined, converted and changed only
// where CelExpressionConfig allows it. On top of that the largest possible number of
// steps, for values as long as a message's head may be, is estimated and bounded when
// the expression is compiled, and regular expressions are constants. So no expression
// needs to be interrupted.
//
// Envoy checks no types: what can never work is an error of each evaluation, and does
// not match. Here it is an error of the configuration. Programs that pass give what they
// give in Envoy; an error while one runs is that nothing matches.
package cel
