package evaluation

import "quern/verify/metrics"

// Comparison is what two models make of the same texts.
type Comparison struct {
	Texts     []TextSummary          `json:"texts"`
	Metrics   metrics.Summary        `json:"metrics"`
	Positions []metrics.Range        `json:"positions"`
	Histogram metrics.Bins           `json:"kld_histogram"`
	Worst     []WorstToken           `json:"worst_tokens"`
	Routing   *metrics.RoutingReport `json:"routing,omitempty"` // of models with routed experts
	MTP       *MTP                   `json:"mtp,omitempty"`     // where both have such a layer
	Inputs    []InputScale           `json:"-"`                 // of checkpoints with static scales
	Rounded   []Rounded              `json:"-"`                 // of checkpoints whose inputs engines round
	// Deployment is the same with inputs rounded as engines do, where that was asked for
	// and they do.
	Deployment *Comparison `json:"-"`
	// TokensPerSecond is the speed of the evaluation of each model.
	TokensPerSecond [2]metrics.Figure `json:"tokens_per_second"`
}

// TextSummary are the figures of one text.
type TextSummary struct {
	Name    string          `json:"name"`
	Tokens  int             `json:"tokens"` // of the text
	Metrics metrics.Summary `json:"metrics"`
}

// WorstToken is a place where the models are far apart.
type WorstToken struct {
	Text     int            `json:"text"`     // index of the text
	Position int            `json:"position"` // of the predicted token in the text
	Target   int            `json:"target"`   // that token
	Before   []int          `json:"before"`   // the tokens before it, at most 24
	KLD      metrics.Figure `json:"kld"`
	PBase    metrics.Figure `json:"p_base"` // of the target
	PQuant   metrics.Figure `json:"p_quant"`
	TopBase  int            `json:"top_base"` // what each model expects
	TopQuant int            `json:"top_quant"`
	// Show is the text around the token as people read it, in parts: what is before,
	// the token, what each model expects. Whoever has a tokenizer fills it in.
	Show *Shown `json:"show,omitempty"`
}

// Shown are tokens as text.
type Shown struct {
	Before   string `json:"before"`
	Target   string `json:"target"`
	TopBase  string `json:"top_base"`
	TopQuant string `json:"top_quant"`
}

// MTP is the teacher-forced acceptance of multi-token prediction: how often what the
// layer guesses is what the main model then says, both reading the true text.
type MTP struct {
	Tokens           int            `json:"tokens"`
	AcceptanceBase   metrics.Figure `json:"acceptance_base"`
	UncertaintyBase  metrics.Figure `json:"acceptance_base_uncertainty"`
	AcceptanceQuant  metrics.Figure `json:"acceptance_quant"`
	UncertaintyQuant metrics.Figure `json:"acceptance_quant_uncertainty"`
	// UncertaintyDrop is that of the difference of both, token by token.
	UncertaintyDrop metrics.Figure `json:"acceptance_drop_uncertainty"`
}

// Single is what one model makes of texts.
type Single struct {
	Texts           []SingleText            `json:"texts"`
	Metrics         metrics.OneSummary      `json:"metrics"`
	MTP             *metrics.AcceptanceRate `json:"mtp,omitempty"`
	Load            []LayerLoad             `json:"load,omitempty"`
	TokensPerSecond metrics.Figure          `json:"tokens_per_second"`
	Rounded         []Rounded               `json:"-"` // as of Comparison
	Deployment      *Single                 `json:"-"`
}

// SingleText are the figures of one text.
type SingleText struct {
	Name    string             `json:"name"`
	Tokens  int                `json:"tokens"`
	Metrics metrics.OneSummary `json:"metrics"`
}

// LayerLoad says how often each expert of a layer was chosen.
type LayerLoad struct {
	Layer int     `json:"layer"`
	Load  []int64 `json:"load"`
}
