// Package hessian finds its way through Hessian 2 bodies without building values:
// it skips, and it reads the few strings and numbers that a codec asks for. What it
// writes is a SOFARPC answer with a text, [AppendSofaResponse].
//
// There are two dialects. [Old] is the draft of 2007 that SOFARPC writes
// (class definition 0x4f, object 0x6f, list 0x56 .. 0x7a, map 0x4d .. 0x7a);
// [Final] is Hessian 2.0 as Dubbo writes it. Their bytes differ, so the protocol
// says which one a body is in; nothing here guesses.
//
// Codecs call it on their loop, with a [Reader] that the loop owns and uses for
// one body after another: a warm Reader allocates nothing, apart from errors and
// from texts that do not lie in the body as UTF-8 in one piece. A Reader owns no
// byte: it and what it returns point into the body, which must not change
// meanwhile.
//
// Everything in a body is a stranger's word. Work is linear in the bytes read,
// whatever counts and lengths a body states, and [Limits] bounds depth, values
// and definitions. Where Java's readers are lax (numbers where a text belongs,
// overlong UTF-8, lists whose stated length is a lie) this package refuses: what
// it accepts, they read the same way, with one exception that no skipper can
// repair. A server that knows the classes may, for a few of them and after
// errors that it swallows, read on from the middle of an object. So what stands
// behind objects of a caller's choice is no proof of anything; [SofaRequest]
// therefore refuses objects before the names that it looks for, and [DubboRequest]
// says which of its parts stand before the arguments.
package hessian
