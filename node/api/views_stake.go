package api

// Stake is the answer of GET /v1/stake: what an account has behind its validator.
type Stake struct {
	Operator    string       `json:"operator" doc:"address of the account"`
	Name        string       `json:"name" doc:"of the validator"`
	Identity    string       `json:"identity" doc:"peer id of the validator's node"`
	Key         string       `json:"key" doc:"BLS public key, hexadecimal"`
	Bond        string       `json:"bond" doc:"coins that count when the next set is made"`
	BondDrops   string       `json:"bond_drops"`
	Unbonding   []Unbonding  `json:"unbonding" doc:"coins on their way back, the next to arrive first"`
	Jailed      bool         `json:"jailed" doc:"in no set that is made before an unjail"`
	JailedUntil uint64       `json:"jailed_until,omitempty" doc:"first epoch in which the jail may be ended"`
	Punished    []Punishment `json:"punished" doc:"offences that were proven, by epoch, as long as they can matter"`
}

// Unbonding are coins on their way back to the account. They can still be slashed.
type Unbonding struct {
	Amount        string `json:"amount" doc:"coins"`
	AmountDrops   string `json:"amount_drops"`
	Since         uint64 `json:"since" doc:"epoch in which they were unbonded"`
	Release       uint64 `json:"release" doc:"epoch with whose last block they arrive"`
	ReleaseHeight uint64 `json:"release_height" doc:"the height of that block"`
}

// Punishment is what a validator paid for its offences in one epoch.
type Punishment struct {
	Epoch        uint64   `json:"epoch"`
	Offences     []string `json:"offences" doc:"double-vote, double-proposal, double-batch, bad-certificate or double-set"`
	Slashed      string   `json:"slashed" doc:"coins"`
	SlashedDrops string   `json:"slashed_drops"`
}

// ValidatorKeys is what a transaction makes a validator known by.
type ValidatorKeys struct {
	Name     string `json:"name"`
	Identity string `json:"identity" doc:"peer id of its node"`
	Key      string `json:"key" doc:"BLS public key, hexadecimal"`
}

// Epoch is the answer of GET /v1/epoch: who validates now and soon.
type Epoch struct {
	Epoch  uint64 `json:"epoch" doc:"the present one; 0 where the set never changes"`
	Height uint64 `json:"height" doc:"newest executed block"`
	First  uint64 `json:"first" doc:"height of the epoch's first block"`
	// Last and BlocksLeft are nil where the only epoch never ends.
	Last       *uint64 `json:"last" doc:"height of the epoch's last block; null if the epoch never ends"`
	BlocksLeft *uint64 `json:"blocks_left" doc:"until the epoch ends; null if it never does"`

	Validators []Member `json:"validators" doc:"of this epoch"`
	Next       []Member `json:"next" doc:"of the next epoch; null if there is none, or it is not decided yet"`
	AfterNext  []Member `json:"after_next" doc:"of the epoch after the next; null until the last block of this one is executed"`

	Rules *StakingRules `json:"rules,omitempty" doc:"absent where the set never changes"`
}

// Member is a validator of an epoch.
type Member struct {
	Name      string `json:"name"`
	Operator  string `json:"operator,omitempty"`
	Power     uint64 `json:"power"`
	Share     string `json:"share" doc:"of the voting power, percent"`
	Bond      string `json:"bond" doc:"stake when the set was made, coins"`
	BondDrops string `json:"bond_drops"`
}

// StakingRules are the network's rules of stake.
type StakingRules struct {
	EpochBlocks    uint64 `json:"epoch_blocks" doc:"blocks in an epoch"`
	MinBond        string `json:"min_bond" doc:"least bond, coins"`
	MinBondDrops   string `json:"min_bond_drops"`
	MaxValidators  uint64 `json:"max_validators" doc:"in one set"`
	MinValidators  uint64 `json:"min_validators" doc:"with fewer candidates the set stays as it is"`
	MaxShare       uint64 `json:"max_share_percent" doc:"most voting power of one validator"`
	UnbondEpochs   uint64 `json:"unbond_epochs" doc:"until unbonded coins arrive"`
	JailEpochs     uint64 `json:"jail_epochs" doc:"after an offence"`
	DoublePermille uint64 `json:"slash_double_permille" doc:"of the bond, for contradicting oneself"`
	BadPermille    uint64 `json:"slash_invalid_permille" doc:"of the bond, for an invalid certificate"`
}
