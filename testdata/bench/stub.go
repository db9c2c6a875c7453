package main

func backlogLine(b *bench) {}
func latencyLine(b *bench) {}
func tillLine(b *bench)    {}
func idleLine(b *bench)    {}
func memoryLine(b *bench)  {}
func crowdLine(b *bench)   {}
func growthLine(b *bench)  {}
