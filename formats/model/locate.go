package model

import "strings"

// wrappers are the segments that may stand in front of the layers and mean
// nothing: model.language_model.layers, language_model.model.layers, …
var wrappers = map[string]bool{
	"model": true, "language_model": true, "text_model": true, "llm": true,
	"transformer": true, "module": true, "backbone": true, "thinker": true,
}

// towers are the segments that begin a part of another modality. A segment that
// contains "projector" does too.
var towers = map[string]bool{
	"visual": true, "vision": true, "vision_tower": true, "vision_model": true, "vision_encoder": true,
	"vision_embedder": true, "vision_embed_tokens": true, "vision_proj": true, "embed_vision": true,
	"audio": true, "audio_tower": true, "audio_model": true, "audio_encoder": true, "audio_proj": true,
	"embed_audio": true, "speech_encoder": true, "image_newline": true, "view_separator": true,
	"sam_model": true, "aligner": true, "resampler": true, "merger": true, "patch_merger": true,
	"patch_merge_mlp": true, "vit": true, "vpm": true, "apm": true, "talker": true, "code2wav": true,
}

// maxKey bounds the part of a name that rules match; longer ones are unknown.
const maxKey = 120

// place is where a module path leads to.
type place struct {
	layer  int // as the name has it, or −1
	number int // the first number behind the layer, or −1
	inMTP  bool
	tower  bool
	key    [maxKey]byte // the rest of the path, numbers replaced by "#"
	n      int          // length of key; −1 when it is too long
}

// locate reads the path of a module from its left: wrappers, then mtp, then a
// layer; what remains is the key of the rules. It allocates nothing.
func locate(path string, p *place) {
	p.layer, p.number, p.n = -1, -1, 0
	p.inMTP, p.tower = false, false
	if strings.Contains(path, "..") || strings.HasPrefix(path, ".") || strings.HasSuffix(path, ".") {
		p.n = -1
		return
	}
	seg, rest := cut(path)
	for wrappers[seg] {
		seg, rest = cut(rest)
	}
	if towers[seg] || strings.Contains(seg, "projector") {
		p.tower = true
		return
	}
	switch seg {
	case "mtp": // mtp.fc, mtp.layers.0.… (Qwen), mtp.0.… (DeepSeek-V4)
		p.inMTP = true
		seg, rest = cut(rest)
		if n, ok := number(seg); ok {
			p.layer = n
			seg, rest = cut(rest)
		} else if seg == "layers" {
			seg, rest = p.enter(seg, rest)
		}
	case "mtp_layers": // MiMo
		p.inMTP = true
		seg, rest = p.enter(seg, rest)
	case "mtp_block": // ERNIE: mtp_block.0.…
		p.inMTP = true
		seg, rest = p.enter(seg, rest)
	case "layers":
		seg, rest = p.enter(seg, rest)
	default: // ERNIE: mtp_linear_proj.0, mtp_emb_norm.0
		if strings.HasPrefix(seg, "mtp_") {
			p.inMTP = true
			if n, ok := number(rest); ok {
				p.layer, rest = n, ""
			}
		}
	}
	if p.inMTP && seg == "transformer_layer" { // the layer as others have it (MiniMax-M3, LongCat)
		seg, rest = cut(rest)
	}
	for seg != "" {
		n, ok := number(seg)
		if ok {
			seg = "#"
		} else if s, cut := strings.CutPrefix(seg, "shard_"); cut { // tables of n-grams
			if n, ok = number(s); ok {
				seg = "shard_#"
			}
		}
		if ok && p.number < 0 {
			p.number = n
		}
		if p.n+1+len(seg) > maxKey {
			p.n = -1
			return
		}
		if p.n > 0 {
			p.key[p.n] = '.'
			p.n++
		}
		p.n += copy(p.key[p.n:], seg)
		seg, rest = cut(rest)
	}
}

// enter takes the number behind seg as the layer's, if there is one.
func (p *place) enter(seg, rest string) (string, string) {
	s, r := cut(rest)
	n, ok := number(s)
	if !ok {
		return seg, rest
	}
	p.layer = n
	return cut(r)
}

// with returns the key extended by a parameter, or nil when that is too long. The
// result is overwritten by the next call.
func (p *place) with(param string) []byte {
	n := p.n
	if n < 0 || n+1+len(param) > maxKey {
		return nil
	}
	if n > 0 {
		p.key[n] = '.'
		n++
	}
	n += copy(p.key[n:], param)
	return p.key[:n]
}

// path returns the key without a parameter.
func (p *place) path() []byte { return p.key[:max(p.n, 0)] }

// cut returns the first segment of a dotted path and the rest.
func cut(path string) (seg, rest string) {
	if i := strings.IndexByte(path, '.'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return path, ""
}

// number reads a segment of up to six digits without leading zeros. Others are
// names: two spellings of one number must not mean the same layer.
func number(seg string) (int, bool) {
	if seg == "" || len(seg) > 6 || seg[0] == '0' && len(seg) > 1 {
		return 0, false
	}
	n := 0
	for i := range len(seg) {
		c := seg[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
