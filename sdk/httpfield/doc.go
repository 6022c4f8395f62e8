// Package httpfield is the syntax of HTTP's fields (RFC 9110, 5) as the codecs of
// all versions of HTTP hold it: which bytes names and values may have, lists of
// tokens, numbers, and which fields are joined when they are repeated. It looks at
// bytes where they are and allocates nothing, but for values that are joined.
package httpfield
