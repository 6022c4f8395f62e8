// Package sdk is the vocabulary of SOFAMesh's data plane: what the author of a
// codec, a filter, a load balancer or an access log imports, and all that he
// imports of ours.
//
// It holds concrete types (Headers, Message, Buffer, StreamInfo), the contracts
// of the extensions (Codec, HTTPFilter), and the handles that the host
// gives them (Stream, Compiler, Counter). It owns no goroutine, no socket and no
// clock. Unless a comment says otherwise, a value belongs to the event loop that
// handed it out and must be used on that loop's goroutine only, during the call
// or until the stated end of its life.
package sdk
