// Package messages owns one rule about tests: the message of a failure has
// words. The only content is a test. The test fails for a format of verbs alone,
// such as "%v" or "%d: %s", in any test of the module.
//
// Package messages does not own the wording of a message: CONTRIBUTING.md does.
package messages
