package main

// All generated code is made here, in this order: the data model's, and then
// that of the contract, which is bound to it, and that of its client.

//go:generate go run ent/entc.go
//go:generate go tool gqlgen generate
//go:generate go tool genqlient internal/cli/client/genqlient.yaml
