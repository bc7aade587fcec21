// Package mutants holds broken variants of the HotStuff core: [All]. Each is one rule
// taken out of its source, and each must be found out by the search of
// testnet/sim/search, or the search is blind to that rule.
//
// The package holds the changes only; its test applies them through Go's build
// overlay. It imports nothing of the project.
package mutants

// Mutant is one change of a source file of the core.
type Mutant struct {
	Name string
	File string // of chain/consensus
	Old  string // must occur exactly once in it
	New  string
	// Also is a second change, old and new, where a rule is checked twice.
	Also [2]string
	// Laws are those of which one must be reported broken, by their error texts.
	Laws []string
	// Quick has the ordinary tests run the mutant too.
	Quick bool
}

// The texts of the laws.
const (
	fork    = "fork:"
	promise = "promise broken:"
	block   = "invalid block decided:"
	blame   = "the honest blamed:"
	stall   = "stall:"
)

// All lists the mutants.
var All = []Mutant{
	{
		Name: "votes twice in a view", File: "hotstuff/vote.go", Laws: []string{promise},
		Old: "b.View == c.view && b.View > c.voted &&", New: "b.View == c.view &&",
	},
	{
		Name: "ignores its lock", File: "hotstuff/rule.go", Laws: []string{fork},
		Old: "return b.Justify.View >= lock.View", New: "return true",
		Quick: true,
	},
	{
		Name: "never locks", File: "hotstuff/rule.go", Laws: []string{fork},
		Old: "return certified.Block.Justify, true", New: "return types.QC{}, false",
	},
	{
		Name: "locks too low", File: "hotstuff/rule.go", Laws: []string{fork},
		Old: "return certified.Block.Justify, true", New: "return certified.Parent.Block.Justify, true",
	},
	{
		Name: "counts votes instead of voters", File: "hotstuff/vote.go", Laws: []string{block, blame, stall},
		Old: "power += c.cfg.Validators.Power(voter)\n\t\t\t\tshares", New: "power += 2 * c.cfg.Validators.Power(voter)\n\t\t\t\tshares",
	},
	{
		Name: "counts a validator twice in a timeout certificate", File: "authority.go", Laws: []string{block},
		Old: "if all.Has(signer) {", New: "if false {",
	},
	{
		Name: "takes a certificate without a quorum", File: "authority.go", Laws: []string{block, fork},
		Old: "if a.Validators.PowerOf(qc.Signers) < a.Validators.Quorum() {", New: "if a.Validators.PowerOf(qc.Signers) == 0 {",
	},
	{
		Name: "takes a timeout certificate without a quorum", File: "authority.go", Laws: []string{block},
		Old: "if power < a.Validators.Quorum() {\n\t\treturn fmt.Errorf(\"%w: no quorum for the timeout", New: "if power == 0 {\n\t\treturn fmt.Errorf(\"%w: no quorum for the timeout",
	},
	{
		Name: "does not verify certificates", File: "authority.go", Laws: []string{block, fork, blame, stall},
		Old: "if !a.Scheme.VerifyAggregate(signed, qc.Signature) {", New: "if len(signed) == 0 {",
	},
	{
		Name: "does not verify timeout certificates", File: "authority.go", Laws: []string{block, fork},
		Old: "if !a.Scheme.VerifyAggregate(signed, tc.Signature) {", New: "if len(signed) == 0 {",
	},
	{
		Name: "takes a timeout certificate that hides its highest certificate", File: "authority.go", Laws: []string{block, fork},
		Old: "last.High != tc.High.View || tc.High.View >= tc.View", New: "last.High < tc.High.View || tc.High.View >= tc.View",
	},
	{
		Name: "takes an old timeout certificate", File: "hotstuff/proposal.go", Laws: []string{block, fork},
		Old: "case b.Timeouts != nil && b.Timeouts.View+1 != b.View:", New: "case false:",
	},
	{
		Name: "takes proposals from anybody", File: "hotstuff/proposal.go", Laws: []string{block},
		Old: "; b.Proposer != leader {", New: "; leader > 1<<15 {",
	},
	{
		Name: "forgets to write votes down", File: "hotstuff/vote.go", Laws: []string{promise},
		Old: "c.emit(Persist{Record{Epoch: c.cfg.Epoch, Vote: &v, Block: b, Locked: c.locked, High: c.high}})\n", New: "",
		Quick: true,
	},
	{
		Name: "writes votes down after they left", File: "hotstuff/vote.go", Laws: []string{promise},
		Old: "\tif c.maySign(n) {\n\t\tc.cast(c.promise(n), n)\n\t}",
		New: "\tif c.maySign(n) {\n\t\tv := c.promise(n)\n\t\tlast := c.out[len(c.out)-1]\n\t\tc.out = c.out[:len(c.out)-1]\n\t\tc.cast(v, n)\n\t\tc.emit(last)\n\t}",
	},
	{
		Name: "forgets its votes when it restarts", File: "hotstuff/core.go", Laws: []string{promise},
		Old: "c.voted = max(c.voted, rec.View())", New: "",
	},
	{
		Name: "forgets its lock and highest certificate when it restarts", File: "hotstuff/core.go", Laws: []string{promise, fork},
		Old: "for _, qc := range []types.QC{rec.Locked, rec.High} {\n\t\tif qc.View > c.high.View {", New: "for _, qc := range []types.QC{rec.Locked, rec.High} {\n\t\tif false && qc.View > c.high.View {",
	},
	{
		Name: "votes in a view that it gave up", File: "hotstuff/pacemaker.go", Laws: []string{promise},
		Old: "c.voted = max(c.voted, c.view)", New: "",
	},
	{
		Name: "forgets to write timeouts down", File: "hotstuff/pacemaker.go", Laws: []string{promise},
		Old: "c.emit(Persist{Record{Epoch: c.cfg.Epoch, Timeout: &promise, Locked: c.locked, High: c.high}})", New: "_ = promise",
	},
	{
		Name: "hides its highest certificate in timeouts", File: "hotstuff/pacemaker.go", Laws: []string{stall, fork},
		Old: "t.Signature = c.cfg.Scheme.Sign(types.TimeoutMessage(c.domain, c.view, c.high.View))",
		New: "t.High = c.locked\n\t\tt.Signature = c.cfg.Scheme.Sign(types.TimeoutMessage(c.domain, c.view, t.High.View))",
	},
	{
		Name: "decides on two phases instead of three", File: "hotstuff/rule.go", Laws: []string{fork, stall},
		Old: "return first, second.Block.Justify", New: "return second, third.Block.Justify",
		Quick: true,
	},
	{
		Name: "three-phase decides on views that are not consecutive", File: "hotstuff/rule.go", Laws: []string{fork},
		Old: "if first == nil || third.Block.View != second.Block.View+1 || second.Block.View != first.Block.View+1 {", New: "if first == nil {",
		Quick: true,
	},
	{
		Name: "two-phase decides on views that are not consecutive", File: "hotstuff/rule.go", Laws: []string{fork, stall},
		Old: "if second == nil || second.Parent == nil || second.Block.View != second.Parent.Block.View+1 {", New: "if second == nil || second.Parent == nil {",
	},
	{
		Name: "two-phase ignores what the timeout certificate proves", File: "hotstuff/rule.go", Laws: []string{fork},
		Old: "return b.Timeouts != nil && b.Justify.View >= b.Timeouts.High.View", New: "return b.Timeouts != nil",
		Quick: true,
	},
	{
		Name: "votes for blocks from the future", File: "hotstuff/vote.go", Laws: []string{block},
		Old: "time.UnixMilli(b.Time).Sub(c.now) <= c.cfg.MaxDrift", New: "!time.UnixMilli(b.Time).IsZero()",
	},
	{
		Name: "two-phase needs no timeout certificate", File: "hotstuff/proposal.go", Laws: []string{block, fork},
		Old: "case b.Timeouts == nil && b.Justify.View+1 != b.View, b.Timeouts", New: "case b.Timeouts",
	},
	{
		Name: "timeouts do not carry votes", File: "hotstuff/pacemaker.go", Laws: []string{stall},
		Old: "if c.lastVote != nil && c.lastVote.View > c.high.View {", New: "if false {",
	},
	{
		Name: "blames whoever's proposal needs a block that is missing", File: "hotstuff/proposal.go", Laws: []string{blame},
		Old: "\tif parent == nil {\n\t\tif len(c.orphans) < maxOrphans &&", New: "\tif parent == nil {\n\t\tc.emit(Blame{Validator: b.Proposer, Reason: \"unknown parent\"})\n\t\tif len(c.orphans) < maxOrphans &&",
		Quick: true,
	},
}
