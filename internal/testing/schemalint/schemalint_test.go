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
