// Package hub reads repositories of a hub, hf://owner/name[@revision].
//
// The revision is asked for once and pinned to its commit. One listing tells the files
// with their sizes and digests; each file is asked for by its commit, and a large one
// answers with a signed link to another host, which is kept until it expires. No file is
// asked for with HEAD. Hubs count requests in windows of five minutes, so few are made.
//
// The contract is that of huggingface_hub (its utils/_http.py, file_download.py and
// constants.py): HF_TOKEN or the token file, HF_ENDPOINT, HF_HOME, HF_HUB_CACHE,
// HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT. The token goes to the endpoint's host only.
package hub
