package replica

import (
	"time"

	"diskv/paxos"
)

// forming is what a replica knows of a group that has not formed.
type forming struct {
	helloAt time.Duration
	lives   paxos.Vector // member 0: the disks that have said hello
	pending *NewIdentity // being stored
	genesis paxos.Vector // of pending
	lost    bool         // the group has formed with another disk in this one's place
	refused [paxos.MaxReplicas]bool
}

// helloInterval is how often a member of a group that has not formed says so.
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
	if r.form.pending != nil || r.now.Mono < r.form.helloAt {
		return
	}
	r.form.helloAt = r.now.Mono + helloInterval
	for id := range paxos.ReplicaID(r.id.Size) {
		if id != r.id.Index {
			r.sendForm(id, 0, paxos.FormHello{Size: uint8(r.id.Size), Lease: r.id.Lease})
		}
	}
}

func (r *Replica) sendForm(to paxos.ReplicaID, cluster paxos.ClusterID, m paxos.Message) {
	r.out.Messages = append(r.out.Messages, paxos.Envelope{
		Cluster: cluster, Group: r.id.Group, From: r.id.Index, To: to, Life: r.id.Life, Message: m,
	})
}

// onFormHello answers a member that has not heard of the genesis.
func (r *Replica) onFormHello(e paxos.Envelope, m paxos.FormHello) {
	if int(m.Size) != r.id.Size || m.Lease != r.id.Lease {
		if !r.form.refused[e.From] {
			r.form.refused[e.From] = true
			r.warn("a member was started with other settings of the group: start all with the same --peers and --read",
				"peer", e.From, "its size", m.Size, "size here", r.id.Size, "its lease", m.Lease, "lease here", r.id.Lease)
		}
		return
	}
	r.form.refused[e.From] = false
	if r.core != nil {
		// Whether the genesis has the nonce of its disk tells it whether it is
		// late, or has lost its disk.
		r.sendForm(e.From, r.id.Cluster, paxos.FormGenesis{
			Size: uint8(r.id.Size), Lease: r.id.Lease, Vector: r.core.HardState().Vector,
		})
		return
	}
	r.form.lives[e.From] = e.Life
	r.mintGenesis()
}

// mintGenesis makes the beginning of the group, on member 0, once every member
// has said hello.
func (r *Replica) mintGenesis() {
	if r.id.Index != 0 || r.form.pending != nil || r.form.lost {
		return
	}
	for _, l := range r.form.lives[:r.id.Size] {
		if l.Nonce == 0 {
			return
		}
	}
	r.storeGenesis(paxos.ClusterID(r.nonzero()), r.form.lives)
}

func (r *Replica) nonzero() uint64 {
	for {
		if v := r.rand.Uint64(); v != 0 {
			return v
		}
	}
}

func (r *Replica) storeGenesis(cluster paxos.ClusterID, v paxos.Vector) {
	id := r.id
	id.Cluster, id.Phase, id.LogID = cluster, PhaseMember, r.nonzero()
	r.form.genesis = v
	r.form.pending = &NewIdentity{Identity: id, State: paxos.AppendHardState(nil, paxos.HardState{Vector: v})}
	r.out.Identity = r.form.pending
}

// onFormGenesis makes this replica a voter of the group that has formed, if it
// formed with this replica's disk.
func (r *Replica) onFormGenesis(e paxos.Envelope, m paxos.FormGenesis) {
	if r.core != nil || r.form.pending != nil || r.form.lost || e.Cluster == 0 {
		return
	}
	if int(m.Size) != r.id.Size || m.Lease != r.id.Lease {
		r.form.lost = true
		r.warn("the group has formed with other settings: start this member with the same --peers and --read",
			"its size", m.Size, "size here", r.id.Size, "its lease", m.Lease, "lease here", r.id.Lease)
		return
	}
	if m.Vector[r.id.Index].Nonce != r.id.Life.Nonce {
		r.form.lost = true
		r.warn("this member has lost its disk: its group has formed with another one in its place, so it must not vote",
			"cluster", e.Cluster.String(), "told by", e.From)
		return
	}
	r.storeGenesis(e.Cluster, m.Vector)
}

// IdentityStored says that the Identity of an Output is durable. The replica is
// a voter from now on.
func (r *Replica) IdentityStored() {
	r.id = r.form.pending.Identity
	genesis := r.form.genesis
	r.form = forming{}
	r.newCore()
	if err := r.core.RestoreHardState(paxos.HardState{Vector: genesis}); err != nil {
		panic("replica: a new log with a state: " + err.Error())
	}
	r.core.Start(r.now.Mono, r.now.Wall)
	r.event("group has formed", "cluster", r.id.Cluster.String(), "members", r.id.Size)
	for id := range paxos.ReplicaID(r.id.Size) {
		if id == r.id.Index {
			continue
		}
		if r.id.Index == 0 {
			r.sendForm(id, r.id.Cluster, paxos.FormGenesis{Size: uint8(r.id.Size), Lease: r.id.Lease, Vector: genesis})
		} else if id == 0 {
			r.sendForm(id, r.id.Cluster, paxos.FormStored{})
		}
	}
	r.noteLeader()
}
