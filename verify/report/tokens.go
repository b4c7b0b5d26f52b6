package report

import (
	"fmt"
	"strconv"

	"quern/internal/page"
	"quern/verify"
	"quern/verify/evaluation"
)

// maxTokens bounds the list of worst tokens.
const maxTokens = 100

// token is a place where the models are apart, with its text.
type token struct {
	Rank        int
	KLD, Where  string
	Before      []page.Piece
	Cut         bool // Before begins with a sign for what was left out
	Target      said
	Base, Quant said
	Agree       bool // both expect the same
}

// said is a token as text and what it is given.
type said struct {
	Text  []page.Piece
	Empty bool
	P     string
	Right bool // it is what follows
}

// tokens lists the worst ones.
func tokens(r *verify.Report) *section {
	if len(r.Worst) == 0 {
		return nil
	}
	shown := few(r.Worst, maxTokens)
	s := &section{ID: "tokens", Title: "Worst tokens", Sum: page.Plural(int64(len(shown)), "token", "tokens") + ", KLD up to " + figureOf(shown[0].KLD)}
	text := fmt.Sprintf("The %s with the highest KL divergence, each with what stands before it and what both models expect there.", page.Plural(int64(len(shown)), "token", "tokens"))
	if shown[0].Show != nil {
		text += " Grey signs stand for white space (· space, ⏎ new line, ⇥ tab) and for characters that cannot be seen."
	} else {
		text += " Tokens are given by their numbers in the vocabulary."
	}
	s.prose(text)
	var list []token
	for i := range shown {
		list = append(list, tokenOf(i+1, &shown[i], r))
	}
	s.add(block{Tokens: list})
	return s
}

func tokenOf(rank int, w *evaluation.WorstToken, r *verify.Report) token {
	t := token{
		Rank: rank, KLD: figureOf(w.KLD), Where: fmt.Sprintf("%s, token %s", textName(w.Text, r), count(w.Position)),
		Agree: w.TopBase == w.TopQuant,
	}
	before, target, base, quant := "", "", "", ""
	if w.Show != nil {
		before, target, base, quant = w.Show.Before, w.Show.Target, w.Show.TopBase, w.Show.TopQuant
	} else {
		for _, id := range w.Before {
			before += strconv.Itoa(id) + " "
		}
		target, base, quant = strconv.Itoa(w.Target), strconv.Itoa(w.TopBase), strconv.Itoa(w.TopQuant)
	}
	before, t.Cut = tail(before, maxBefore)
	how := page.TextSpaces
	if w.Show == nil {
		how = page.PlainSpaces
	}
	t.Before = page.Pieces(before, maxBefore, how)
	t.Target = sayer(target)
	t.Base, t.Quant = sayer(base), sayer(quant)
	t.Base.P, t.Quant.P = percent(w.PBase), percent(w.PQuant)
	t.Base.Right, t.Quant.Right = w.TopBase == w.Target, w.TopQuant == w.Target
	return t
}

func sayer(s string) said {
	return said{Text: page.Pieces(s, maxToken, page.TokenSpaces), Empty: s == ""}
}

// textName is the name of a text by its index, where there is one.
func textName(i int, r *verify.Report) string {
	if i >= 0 && i < len(r.Texts) && r.Texts[i].Name != "" {
		return page.Visible(r.Texts[i].Name)
	}
	return fmt.Sprintf("text %d", i)
}
