package paxos

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCloneSharesNothing fills every slice, map and pointer that a Core reaches
// and looks for one that its clone has in common with it. A field that is added
// to Core and forgotten in Clone is found here.
func TestCloneSharesNothing(t *testing.T) {
	var c Core
	fill(reflect.ValueOf(&c).Elem())
	n := c.Clone()
	require.Equal(t, &c, n)
	requireApart(t, "Core", reflect.ValueOf(&c).Elem(), reflect.ValueOf(n).Elem())
}

// shared is what a clone may have in common with its origin: the values of
// entries, which nobody changes, messages likewise, and the source of chance.
func shared(typ reflect.Type) bool {
	switch typ {
	case reflect.TypeFor[[]byte](), reflect.TypeFor[*rand.Rand](), reflect.TypeFor[Message]():
		return true
	}
	return false
}

// fill gives every slice and map below v one element, and every pointer a
// target.
func fill(v reflect.Value) {
	v = reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem() // unexported fields can be set through this one
	switch {
	case shared(v.Type()):
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 4))
		fill(v.Index(0))
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.Zero(v.Type().Key()), reflect.Zero(v.Type().Elem()))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	}
}

func requireApart(t *testing.T, path string, a, b reflect.Value) {
	t.Helper()
	switch {
	case shared(a.Type()):
	case a.Kind() == reflect.Struct:
		for i := range a.NumField() {
			requireApart(t, path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	case a.Kind() == reflect.Array:
		for i := range a.Len() {
			requireApart(t, path, a.Index(i), b.Index(i))
		}
	case a.Kind() == reflect.Slice:
		require.NotZero(t, a.Len(), "%s was not filled", path)
		require.NotEqual(t, a.Pointer(), b.Pointer(), "%s is shared by a Core and its clone", path)
		for i := range a.Len() {
			requireApart(t, path, a.Index(i), b.Index(i))
		}
	case a.Kind() == reflect.Map, a.Kind() == reflect.Pointer:
		require.NotEqual(t, a.Pointer(), b.Pointer(), "%s is shared by a Core and its clone", path)
	}
}
