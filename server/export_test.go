package server

// SetFree gives the tests a disk whose free space they choose.
func (o *Options) SetFree(free func(dir string) (int64, error)) { o.free = free }

// ClientsWithin is how many clients a process with few files serves.
var ClientsWithin = clientsWithin
