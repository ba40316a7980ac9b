package replica

import (
	"time"

	"diskv/paxos"
)

// forming is what a replica knows that is not in a group yet, or not again.
type forming struct {
	helloAt time.Duration
	lives   paxos.Vector            // the disks that have said hello, and the own one
	echoed  [paxos.MaxReplicas]bool // they have heard of this one
	pending *NewIdentity            // being stored
	genesis paxos.HardState         // first hard state of pending, if that has a log
	wrong   string                  // why this replica cannot be in the group that there is
	// outlived says that a member of the group that there is knows another disk
	// in this one's place.
	outlived bool
	refused  [paxos.MaxReplicas]bool
}

// helloInterval is how often a replica that is in no group says so.
const helloInterval = 100 * time.Millisecond

// startForming begins to look for the other members. A group forms once, with
// every member present: so a majority that has lost its disks can never form
// it again while one survivor tells them.
func (r *Replica) startForming() {
	r.form.lives[r.id.Index] = r.id.Life
	r.tickForming()
	r.mintGenesis()
}

func (r *Replica) tickForming() {
	if r.form.pending == nil && r.now.Mono >= r.form.helloAt {
		r.form.helloAt = r.now.Mono + helloInterval
		r.sayHello()
	}
	r.tickRecovery()
}

// sayHello asks every other member what group this is.
func (r *Replica) sayHello() {
	for id := range paxos.ReplicaID(r.id.Size) {
		if id != r.id.Index {
			r.sendHello(id)
		}
	}
}

func (r *Replica) sendHello(to paxos.ReplicaID) {
	r.sendAs(0, to, paxos.FormHello{
		Size: uint8(r.id.Size), Lease: r.id.Lease, Service: r.id.Service, Recovering: r.hasLostDisk(),
		Echo: r.form.lives[to].Nonce,
	})
}

// onFormHello answers a member that has not heard of the genesis.
func (r *Replica) onFormHello(e paxos.Envelope, m paxos.FormHello) {
	if other := r.otherSettings(m.Size, m.Lease, m.Service); other != nil {
		if !r.form.refused[e.From] {
			r.form.refused[e.From] = true
			r.warn("a member was started with other settings of the group: start all with the same --peers, --read and --shardmasters",
				append(other, "peer", e.From)...)
		}
		return
	}
	r.form.refused[e.From] = false
	if r.core != nil {
		r.core.NotLeading(e.From)
		// Whether the nonce of its disk is among the lives tells it whether it is
		// late, or has lost its disk. One that recovers itself tells nothing: it
		// knows only what it was told.
		if r.id.Phase == PhaseMember {
			r.send(e.From, paxos.FormGenesis{
				Size: uint8(r.id.Size), Lease: r.id.Lease, Service: r.id.Service, Led: r.hasLeader, Vector: r.core.Lives(),
			})
		}
		return
	}
	if !m.Recovering {
		r.form.lives[e.From] = e.Life
		r.form.echoed[e.From] = m.Echo == r.id.Life.Nonce
		if !r.form.echoed[e.From] {
			r.sendHello(e.From)
		}
		r.mintGenesis()
	}
}

// otherSettings names what another member was told of the group that is not what
// this one was told, or nil.
func (r *Replica) otherSettings(size uint8, lease bool, service paxos.Service) []any {
	if int(size) == r.id.Size && lease == r.id.Lease && service == r.id.Service {
		return nil
	}
	return []any{
		"its size", size, "size here", r.id.Size, "its lease", lease, "lease here", r.id.Lease,
		"its service", service.String(), "service here", r.id.Service.String(),
	}
}

// mintGenesis makes the beginning of the group, on member 0, once every member
// has said hello.
func (r *Replica) mintGenesis() {
	if r.id.Index != 0 || r.id.Phase != PhaseForming || r.form.pending != nil || r.form.wrong != "" {
		return
	}
	for id := range r.id.Size {
		if !r.form.echoed[id] && id != int(r.id.Index) {
			return
		}
	}
	r.join(paxos.ClusterID(r.nonzero()), PhaseMember, r.form.lives)
}

func (r *Replica) nonzero() uint64 {
	for {
		if v := r.rand.Uint64(); v != 0 {
			return v
		}
	}
}

// join has the identity of a member of a cluster stored, with a new log.
func (r *Replica) join(cluster paxos.ClusterID, phase Phase, v paxos.Vector) {
	id := r.id
	id.Cluster, id.Phase, id.LogID = cluster, phase, r.nonzero()
	r.form.genesis = paxos.HardState{Vector: v, Recovering: phase == PhaseRecovering}
	r.form.pending = &NewIdentity{Identity: id, State: paxos.AppendHardState(nil, r.form.genesis)}
	r.out.Identity = r.form.pending
}

// onFormGenesis makes this replica a voter of the group that has formed, if it
// formed with this replica's disk. Otherwise this replica has lost its disk,
// whatever it was told at its start, and recovers.
func (r *Replica) onFormGenesis(e paxos.Envelope, m paxos.FormGenesis) {
	if r.core != nil || r.form.pending != nil || e.Cluster == 0 {
		return
	}
	switch other := r.otherSettings(m.Size, m.Lease, m.Service); {
	case other != nil:
		r.refuseGroup("the group has formed with other settings: start this member with the same --peers, --read and --shardmasters", other...)
	case r.id.Cluster != 0 && r.id.Cluster != e.Cluster:
		r.refuseGroup("the members at these addresses are of another cluster: give the --peers of this one, or an empty --dir",
			"cluster", e.Cluster.String(), "cluster here", r.id.Cluster.String())
	case r.id.Phase == PhaseForming && m.Vector[r.id.Index] == r.id.Life:
		r.join(e.Cluster, PhaseMember, m.Vector)
	case !m.Led:
		r.form.outlived = true
	default:
		// Some member may be left over from an older cluster; one that has a
		// leader is not.
		r.warn("this member has lost its disk: it gets everything back from the others and does not vote until they let it",
			"cluster", e.Cluster.String(), "told by", e.From)
		r.join(e.Cluster, PhaseRecovering, m.Vector)
	}
}

// refuseGroup says once why this replica cannot be in the group that there is.
func (r *Replica) refuseGroup(why string, attrs ...any) {
	if r.form.wrong == "" {
		r.warn(why, attrs...)
	}
	r.form.wrong = why
}

// IdentityStored says that the Identity of an Output is durable.
func (r *Replica) IdentityStored() {
	was := r.id
	r.id = r.form.pending.Identity
	state := r.form.genesis
	r.form = forming{}
	if was.HasLog() {
		r.core.Readmit()
		r.event("this member votes again", "epoch", r.id.Life.Epoch, "slot", r.core.Applied())
		r.startPeers(false)
		return
	}
	r.newCore()
	if err := r.core.RestoreHardState(state); err != nil {
		panic("replica: a new log with a state: " + err.Error())
	}
	r.core.Start(r.now.Mono, r.now.Wall)
	r.startPeers(false)
	if r.id.Phase == PhaseMember {
		r.event("group has formed", "cluster", r.id.Cluster.String(), "members", r.id.Size)
	}
	for id := range paxos.ReplicaID(r.id.Size) {
		switch {
		case id == r.id.Index || r.id.Phase != PhaseMember:
		case r.id.Index == 0:
			r.send(id, paxos.FormGenesis{Size: uint8(r.id.Size), Lease: r.id.Lease, Service: r.id.Service, Vector: state.Vector})
		case id == 0:
			r.send(id, paxos.FormStored{})
		}
	}
	r.noteLeader()
}
