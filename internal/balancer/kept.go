package balancer

import "hale/internal/balancer/inventory"

// Kept returns the inventory that a state directory holds, whoever has it open:
// the last one that was saved, an empty one if there is none.
func Kept(dir string) (*inventory.Inventory, error) { return (&store{dir: dir}).load() }
