#!/usr/bin/env bash
# Makes published tables again, with every row and ablation of theirs, and the timings of all rows:
#
#     leaderboards/make.sh RUNS PROTOCOL...
#
# Call it from a clean checkout, on a machine that does nothing else: then a table has one origin, and its timings count.
# Finished runs are not repeated, so it can be interrupted and called again. What stands in RUNS at the end is published
# by `ganbench leaderboard PROTOCOL --runs RUNS --write`.
set -euo pipefail
runs=$1
shift
losses=minimax,non-saturating,lsgan,wgan,wgan-gp,dragan,hinge,r1,rpgan-r1-r2

# row ARCHS LOSSES [--set NAME=VALUE ...] [--trick NAME]: runs of the protocol at hand
row() {
    ganbench run --protocol "$protocol" --out "$runs" --quiet --arch "$1" --loss "$2" "${@:3}" </dev/null
}

rows() {
    case $protocol in
    digits-16-v*)
        row dcgan,dcgan-upsample,mlp "$losses"
        row dcgan rpgan-r1
        row r3gan rpgan-r1,rpgan-r1-r2
        row sngan hinge,non-saturating
        row sngan non-saturating --set arch.spectral=false
        row stylegan2 non-saturating
        row stylegan2 non-saturating --set arch.demodulation=false
        ;;
    mnist-10k-28-v*)
        row dcgan,dcgan-upsample,mlp,cgan,acgan non-saturating,wgan-gp,hinge,r1,rpgan-r1-r2
        ;;
    digits-16-cond-v*)
        row biggan-small,sngan-projection,cgan,acgan,cgan-mlp r1
        row biggan-small r1 --set arch.attention=false
        row sngan-projection r1 --set arch.projection=false
        row acgan r1 --set arch.auxiliary=0
        ;;
    emoji-32-v*)
        row dcgan,dcgan-upsample,mlp,stylegan2 non-saturating,wgan-gp,r1,rpgan-r1-r2
        row dcgan r1 --trick diffaugment
        ;;
    emoji-32-cond-v*) row biggan-small,sngan-projection,cgan,acgan r1 ;;
    stacked-digits-v*) row dcgan,dcgan-upsample,mlp "$losses" ;;
    gaussian-1d-v* | ring-v* | grid-v*) row mlp "$losses" ;;
    digits-edges-v*)
        row cyclegan lsgan,non-saturating
        row cyclegan lsgan --set arch.cycle=0
        row cyclegan lsgan --set arch.identity=5
        row cyclegan lsgan --set arch.d_halvings=0
        row cyclegan lsgan --set arch.d_halvings=1
        ;;
    drums-v*)
        row wavegan r1,wgan-gp
        row wavegan r1 --set loss.gamma=0.1
        row wavegan r1 --set arch.phase_shuffle=0
        row wavegan r1 --set loss.gamma=0.1 --set arch.phase_shuffle=0
        ;;
    moving-digits-v*)
        row videogan,videogan-two-critic r1
        row videogan r1 --set arch.background=false
        ;;
    *)
        echo "make.sh knows no rows of $protocol: add them to it" >&2
        exit 2
        ;;
    esac
}

for protocol in "$@"; do
    rows
done
for protocol in "$@"; do
    ganbench time "$protocol" --runs "$runs" --quiet
done
