package schemalint

import (
	"slices"
	"testing"
)

// In each pair, the one without a description has "bare" in its name.
const mixed = `
"A directive." directive @told("An argument." a: Int, bareA: Int) on OBJECT
directive @bare on OBJECT
"A scalar." scalar Told
scalar BareScalar
"An enum." enum E { "A value." TOLD BARE }
"An input." input I { "A field." told: Int bare: Int }
"An interface." interface N { "A field." told: Int bare: Int }
"A type." type T implements N {
  "A field." told("An argument." a: Int, bareA: Int): Int
  """
  A field in a block.
  """
  block: Int
  bare: Int
}
extend type T { bareToo: Int "A field." toldToo: Int }
type BareType { "A field." told: Int }
union BareUnion = T
"A union." union U = T
`

func TestUndescribed_ListsEveryKindOfThingWithoutADescription(t *testing.T) {
	got, err := Undescribed(mixed)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"@told(bareA:), line 2",
		"@bare, line 3",
		"BareScalar, line 5",
		"E.BARE, line 6",
		"I.bare, line 7",
		"N.bare, line 8",
		"T.told(bareA:), line 10",
		"T.bare, line 15",
		"BareType, line 18",
		"BareUnion, line 19",
		"T.bareToo, line 17",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestUndescribed_SourceThatCannotBeReadIsAnError(t *testing.T) {
	if got, err := Undescribed("type {"); err == nil {
		t.Errorf("got %q and no error", got)
	}
}

func TestUndescribed_ASchemaDefinitionNeedsOneToo(t *testing.T) {
	got, err := Undescribed("schema { query: Q }")
	if err != nil || !slices.Equal(got, []string{"schema, line 1"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestWithoutPayload_ListsMutationsThatReturnAnythingElse(t *testing.T) {
	got, err := WithoutPayload(`
type Query { addBee: Boolean! }
type Mutation {
  addBee(name: String!): AddBeePayload!
  killBee: Boolean!
  moveBee: MoveBeePayload
  feedBees: [FeedBeesPayload!]!
  wakeBee: AddBeePayload!
  countBees: CountBeesPayload!
}
extend type Mutation { paintBee: Bee! }
type Bee { name: String! }
type AddBeePayload { bee: Bee! }
type MoveBeePayload { bee: Bee! }
type FeedBeesPayload { bee: Bee! }
scalar CountBeesPayload`)
	want := []string{
		"Mutation.killBee: Boolean!, line 5",
		"Mutation.moveBee: MoveBeePayload, line 6",
		"Mutation.feedBees: [FeedBeesPayload!]!, line 7",
		"Mutation.wakeBee: AddBeePayload!, line 8",
		"Mutation.countBees: CountBeesPayload!, line 9",
		"Mutation.paintBee: Bee!, line 11",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got  %q, %v\nwant %q", got, err, want)
	}
	if got, err := WithoutPayload("type {"); err == nil {
		t.Errorf("invalid SDL: got %q and no error", got)
	}
}

func TestIDsOutsideNodes_ListsTypesAndInputs(t *testing.T) {
	got, err := IDsOutsideNodes(`
interface Node { id: ID! }
interface Animal { id: ID! }
type Bee implements Node { id: ID! hiveId: ID! }
type Wasp implements Animal { id: ID! }
type Hive { key: ID! }
extend type Hive { id: Int }
input BeeInput { id: ID! }
type Ant { id: ID! }
extend type Ant implements Node { legs: Int! }`)
	want := []string{"Animal.id, line 3", "Wasp.id, line 5", "BeeInput.id, line 8", "Hive.id, line 7"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got  %q, %v\nwant %q", got, err, want)
	}
	if got, err := IDsOutsideNodes("type {"); err == nil {
		t.Errorf("invalid SDL: got %q and no error", got)
	}
}
