// Package peers answers one question: does the program that is built do with real servers, real clients and real
// addresses what its own tests say it does?
//
// Every test starts the program as a process and looks at it from outside: at what nginx, Apache, curl, nghttp, h2load,
// h2spec, browsers and the HTTP clients of many languages get, at its exit code and at its decision log. Nothing is
// skipped: a tool that is missing fails the test and says which package has it. Servers run on loopback ports with
// configurations of their own and are ended by their process id.
//
// Tests that need Googlebot's addresses run a second time, as a process inside a network namespace that has only a
// loopback interface; there these addresses are local ones. The tests need root
// and the build tag peers.
package peers
