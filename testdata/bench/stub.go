package main

func crowdLine(b *bench)  {}
func growthLine(b *bench) {}
