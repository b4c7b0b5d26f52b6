package model

import "slices"

// HasExperts reports whether a layer has routed experts. Layers behind the last
// are MTP layers, which have them whenever the model does, unless DenseMTP.
func (c *Config) HasExperts(layer int) bool {
	switch {
	case c.NumExperts == 0:
		return false
	case c.NumHiddenLayers > 0 && layer >= c.NumHiddenLayers:
		return !c.DenseMTP && (len(c.MTPBlockTypes) == 0 || c.BlockType(layer) == "moe")
	case layer < len(c.BlockTypes):
		return c.BlockTypes[layer] == "moe"
	case layer < len(c.MLPLayerTypes):
		return c.MLPLayerTypes[layer] == "sparse"
	case c.MoELayers != nil:
		return slices.Contains(c.MoELayers, layer)
	case slices.Contains(c.MLPOnlyLayers, layer):
		return false
	}
	return layer >= c.FirstKDense && layer >= c.MoELayerStart &&
		(c.MoELayerEnd == 0 || layer <= c.MoELayerEnd) &&
		(c.MoELayerFreq <= 1 || layer%c.MoELayerFreq == 0) &&
		(c.DecoderSparseStep <= 1 || (layer+1)%c.DecoderSparseStep == 0)
}

// LayerType returns the kind of attention of a layer, "full_attention" by default.
// MTP layers are full attention unless MTPLayerType says otherwise.
func (c *Config) LayerType(layer int) string {
	if layer >= 0 && layer < len(c.LayerTypes) {
		return c.LayerTypes[layer]
	}
	if layer >= c.NumHiddenLayers && c.MTPLayerType != "" {
		return c.MTPLayerType
	}
	if n := c.FullAttentionStep; n > 0 && layer < c.NumHiddenLayers && (layer+1)%n != 0 {
		return "linear_attention"
	}
	return "full_attention"
}

// BlockType returns the only block of a layer of Nemotron-H, "" where there is no such
// layer. A step of multi-token prediction is several layers, one behind the other.
func (c *Config) BlockType(layer int) string {
	if i := layer - c.NumHiddenLayers; i >= 0 && len(c.MTPBlockTypes) > 0 {
		return c.MTPBlockTypes[i%len(c.MTPBlockTypes)]
	}
	if layer >= 0 && layer < len(c.BlockTypes) {
		return c.BlockTypes[layer]
	}
	return ""
}

// MTPStep is how many layers a step of multi-token prediction is stored as.
func (c *Config) MTPStep() int { return max(1, len(c.MTPBlockTypes)) }

// sliding reports whether a layer has a window.
func (c *Config) sliding(layer int) bool { return c.LayerType(layer) == "sliding_attention" }

// HeadsOf returns the number of query heads of a layer.
func (c *Config) HeadsOf(layer int) int {
	switch {
	case layer >= 0 && layer < len(c.HeadsByLayer):
		return c.HeadsByLayer[layer]
	case c.SlidingHeads > 0 && c.sliding(layer):
		return c.SlidingHeads
	}
	return c.NumHeads
}

// KVHeadsOf returns the number of key and value heads of a layer.
func (c *Config) KVHeadsOf(layer int) int {
	switch {
	case layer >= 0 && layer < len(c.Blocks):
		return c.Blocks[layer].KVHeads
	case c.SlidingKVHeads > 0 && c.sliding(layer):
		return c.SlidingKVHeads
	case c.GlobalKVHeads > 0 && c.KEqV && !c.sliding(layer):
		return c.GlobalKVHeads
	}
	return c.NumKVHeads
}

// HeadDimOf returns the size of a query or key head of a layer.
func (c *Config) HeadDimOf(layer int) int {
	switch {
	case c.SlidingHeadDim > 0 && c.sliding(layer):
		return c.SlidingHeadDim
	case c.GlobalHeadDim > 0 && !c.sliding(layer):
		return c.GlobalHeadDim
	}
	return c.HeadDim
}

// ValueDimOf returns the size of a value head of a layer.
func (c *Config) ValueDimOf(layer int) int {
	switch {
	case c.SlidingValueDim > 0 && c.sliding(layer):
		return c.SlidingValueDim
	case c.VHeadDim > 0:
		return c.VHeadDim
	}
	return c.HeadDimOf(layer)
}

// RotatesAt reports whether queries and keys of a layer have positions.
func (c *Config) RotatesAt(layer int) bool {
	switch {
	case c.NoRope:
		return false
	case layer >= 0 && layer < len(c.NoRopeLayers):
		return c.NoRopeLayers[layer] != 0
	}
	return c.NoRopeStep <= 0 || (layer+1)%c.NoRopeStep != 0
}

// HasIndexer reports whether a layer of a model with sparse attention chooses keys by
// an indexer of its own. MTP layers do. (GLM-5.2's rule: models.md §2.7.)
func (c *Config) HasIndexer(layer int) bool {
	switch {
	case layer >= c.NumHiddenLayers:
		return true
	case layer < len(c.IndexerTypes):
		return c.IndexerTypes[layer] == "full"
	case layer < len(c.IndexPattern):
		return c.IndexPattern[layer] == 'F'
	case c.IndexFreq > 1:
		return max(layer-c.IndexOffset+1, 0)%c.IndexFreq == 0
	}
	return true
}

// HasKV reports whether a layer projects keys and values of its own.
func (c *Config) HasKV(layer int) bool {
	switch {
	case layer >= 0 && layer < len(c.KVSourceLayers):
		return c.KVSourceLayers[layer] == layer
	case c.KVSharedLayers > 0 && layer < c.NumHiddenLayers:
		return layer < c.NumHiddenLayers-c.KVSharedLayers
	}
	return true
}

// CompressRatio returns how many tokens a layer of DeepSeek-V4 compresses into one
// key; 0 when it only has its window.
func (c *Config) CompressRatio(layer int) int {
	if layer >= 0 && layer < len(c.CompressRatios) {
		return c.CompressRatios[layer]
	}
	return 0
}

// Overlaps reports whether the windows that a layer of DeepSeek-V4 compresses overlap.
// Such layers have an indexer.
func (c *Config) Overlaps(layer int) bool {
	r := c.CompressRatio(layer)
	return r > 0 && r == c.OverlapRatio
}

// Hashes reports whether the experts of a layer follow from the token (DeepSeek-V4).
func (c *Config) Hashes(layer int) bool {
	if c.HashLayers != nil {
		return layer >= 0 && layer < len(c.HashLayers) && c.HashLayers[layer]
	}
	return layer < c.NumHashLayers
}

// SpareExpert reports whether a number behind those of the experts is a choice that computes
// nothing (LongCat): weights that a checkpoint has of it are read by nobody.
func (c *Config) SpareExpert(expert int) bool {
	return c.NumExperts > 0 && expert >= c.NumExperts && expert < c.NumExperts+c.ZeroExperts
}

// ExpertSize is the intermediate size of a routed expert.
func (c *Config) ExpertSize() int {
	if c.MoEIntermediateSize > 0 {
		return c.MoEIntermediateSize
	}
	return c.IntermediateSize
}

// ExpertWidth is the size of what routed experts take and give.
func (c *Config) ExpertWidth() int {
	if c.LatentSize > 0 {
		return c.LatentSize
	}
	return c.HiddenSize
}

// DenseSize is the intermediate size of the dense block of a layer.
func (c *Config) DenseSize(layer int) int {
	switch {
	case layer >= 0 && layer < len(c.Blocks):
		return c.Blocks[layer].Inner
	case c.DenseIntermediateSize > 0:
		return c.DenseIntermediateSize
	}
	return c.IntermediateSize
}

// SharedSize is the intermediate size of the shared experts together.
func (c *Config) SharedSize() int {
	if c.SharedIntermediateSize > 0 {
		return c.SharedIntermediateSize
	}
	return c.NumSharedExperts * c.ExpertSize()
}

// QKHeadDim is the size of a query or key head of latent attention.
func (c *Config) QKHeadDim() int { return c.QKNopeHeadDim + c.QKRopeHeadDim }
