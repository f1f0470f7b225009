package balancer

func (f *front) newRelay(l *listener) server { panic("network load balancers have no relay yet") }
