package model

// What configs may leave out, because the architectures' own code has it as default
// (configuration files of transformers 5.24).

// normalized is norm_topk_prob where a config lacks it in every spelling.
func normalized(c *Config) error {
	if !c.Has("norm_topk_prob") && !c.Has("moe_renormalize") {
		c.NormTopKProb = true
	}
	return nil
}

// hybridQwen: every fourth layer is full attention, and a quarter of a head rotates.
func hybridQwen(c *Config) error {
	if len(c.LayerTypes) == 0 && c.FullAttentionStep == 0 {
		c.FullAttentionStep = 4
	}
	if c.Rope.PartialRotaryFactor == 0 {
		c.Rope.PartialRotaryFactor = 0.25
	}
	return normalized(c)
}

// bounded gives the decay of delta attention its lower bound, unless it has none
// (kda_safe_gate, safe_gate: false).
func bounded(c *Config) error {
	safe := true
	for key, v := range c.Fields() {
		if key == "linear_attn_config" {
			if on, ok := v.Get("safe_gate").Bool(); ok {
				safe = on
			}
		}
		if on, ok := v.Bool(); ok && key == "kda_safe_gate" {
			safe = on
		}
	}
	switch {
	case !safe:
		c.LinearLowerBound = 0
	case c.LinearLowerBound == 0:
		c.LinearLowerBound = -5
	}
	return normalized(c)
}

// hybridLing: heads of delta attention are as many and as large as head_dim says.
func hybridLing(c *Config) error {
	if c.LinearKeyHeads == 0 && c.LinearValueHeads == 0 {
		c.LinearKeyHeads, c.LinearValueHeads = c.NumHeads, c.NumHeads
		c.LinearKeyHeadDim, c.LinearValueHeadDim = c.HeadDim, c.HeadDim
	}
	if c.LinearConvKernel == 0 {
		c.LinearConvKernel = 4
	}
	return bounded(c)
}

// hybridGLM: GLM-5.3's streams, and the limit of its feed-forward blocks.
func hybridGLM(c *Config) error {
	if !c.Has("hc_mult") {
		c.HCMult = 4
	}
	if !c.Has("hc_sinkhorn_iters") {
		c.HCIters = 20
	}
	if !c.Has("hc_eps") {
		c.HCEps = 1e-6
	}
	if !c.Has("swiglu_limit") {
		c.SwigluLimit = 10
	}
	return bounded(c)
}
